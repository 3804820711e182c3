/** Public names of chat rendering. */

export {
  type ConversationSample,
  type ConversationSplit,
  type RenderedConversation,
  renderConversation,
  type TurnSpan,
} from "./conversation.ts";
export type { FieldSpan } from "./encode.ts";
export type { FieldKind } from "./fields.ts";
export type { ChatConversation, ChatMessage, ConversationOptions } from "./renderer.ts";
export { hermesTags, type TurnTags, turnRoles } from "./sampled.ts";
export type { TemplateTraits } from "./traits.ts";

/** Public names of chat rendering. */

export {
  type ChatConversation,
  type ChatMessage,
  type ConversationOptions,
  type ConversationSample,
  type ConversationSplit,
  type RenderedConversation,
  renderConversation,
  type TurnSpan,
} from "./conversation.ts";
export type { FieldSpan } from "./encode.ts";
export type { FieldKind } from "./fields.ts";
export { hermesTags, type TurnTags, turnRoles } from "./sampled.ts";

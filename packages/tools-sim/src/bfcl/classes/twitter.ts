/**
 * TwitterAPI: tweets, comments, retweets and the list of followed users of one account.
 *
 * NOTE: tweet ids become integers when a configuration is loaded, comment keys stay strings; comments that come with a
 * configuration can therefore not be found by an integer id. The benchmark's ground truth has it so.
 *
 * NOTE: the documents give the lists of tweets, comments and followed users a name each, but the simulators hand out the bare
 * list, as the executed ground truth shows for the airports of TravelAPI, which are documented in the same way.
 */
import { dict, type PyDict, type PyValue } from "../../python/values.ts";
import type { SimulatorClass } from "../simulator.ts";
import { attributes, dictOf, integerKeys, intOf, listOf, textOf } from "./config.ts";

const failure = (message: string) => dict({ error: message });
const publicAttributes = [
  "username",
  "password",
  "authenticated",
  "tweets",
  "comments",
  "retweets",
  "following_list",
  "tweet_counter",
];

export const twitter: SimulatorClass = (config, context) => {
  const state = attributes(publicAttributes, config, context);
  const tweets = integerKeys(dictOf(state.get("tweets")));
  state.set("tweets", tweets);
  const comments = dictOf(state.get("comments"));
  const retweets = dictOf(state.get("retweets"));
  const following = listOf(state.get("following_list"));
  const username = () => textOf(state.get("username"));

  /** Runs `f` for a logged-in user. */
  const authenticated = (f: () => PyValue): PyValue =>
    state.get("authenticated") === true
      ? f()
      : failure("User not authenticated. Please authenticate with authenticate_twitter first.");
  const withTweet = (id: PyValue, f: (tweet: PyDict, key: bigint) => PyValue): PyValue => {
    const tweet = typeof id === "bigint" ? tweets.get(id) : undefined;
    return tweet === undefined ? failure(`Tweet with ID ${id} not found.`) : f(dictOf(tweet), intOf(id));
  };
  const tweetsWhere = (keep: (tweet: PyDict) => boolean) => [...tweets.values()].map(dictOf).filter(keep);
  const by = (name: PyValue) => tweetsWhere((tweet) => tweet.get("username") === name);

  return {
    state,
    functions: {
      authenticate_twitter: ({ username: name, password }) => {
        const right = name === state.get("username") && password === state.get("password");
        if (right) state.set("authenticated", true);
        return dict({ authentication_status: right });
      },
      posting_get_login_status: () => dict({ login_status: state.get("authenticated") === true }),
      post_tweet: ({ content, tags, mentions }) =>
        authenticated(() => {
          const id = intOf(state.get("tweet_counter"));
          const tweet = dict({ id, username: username(), content, tags, mentions });
          tweets.set(id, tweet);
          state.set("tweet_counter", id + 1n);
          return tweet;
        }),
      retweet: ({ tweet_id }) =>
        authenticated(() =>
          withTweet(tweet_id, (_tweet, id) => {
            if (!retweets.has(username())) retweets.set(username(), []);
            const mine = listOf(retweets.get(username()));
            if (mine.includes(id)) return dict({ retweet_status: "Already retweeted" });
            mine.push(id);
            return dict({ retweet_status: "Successfully retweeted" });
          }),
        ),
      comment: ({ tweet_id, comment_content }) =>
        authenticated(() =>
          withTweet(tweet_id, (_tweet, id) => {
            if (!comments.has(id)) comments.set(id, []);
            listOf(comments.get(id)).push(dict({ username: username(), content: comment_content }));
            return dict({ comment_status: "Comment added successfully" });
          }),
        ),
      mention: ({ tweet_id, mentioned_usernames }) =>
        withTweet(tweet_id, (tweet) => {
          listOf(tweet.get("mentions")).push(...listOf(mentioned_usernames));
          return dict({ mention_status: "Users mentioned successfully" });
        }),
      follow_user: ({ username_to_follow: name }) =>
        authenticated(() => {
          if (following.includes(name)) return dict({ follow_status: false });
          following.push(name);
          return dict({ follow_status: true });
        }),
      list_all_following: () => authenticated(() => following),
      unfollow_user: ({ username_to_unfollow: name }) =>
        authenticated(() => {
          const at = following.indexOf(name);
          if (at >= 0) following.splice(at, 1);
          return dict({ unfollow_status: at >= 0 });
        }),
      get_tweet: ({ tweet_id }) => withTweet(tweet_id, (tweet) => tweet),
      get_user_tweets: ({ username: name }) => by(name),
      search_tweets: ({ keyword }) => {
        const wanted = textOf(keyword).toLowerCase();
        const has = (text: PyValue | undefined) =>
          typeof text === "string" && text.toLowerCase().includes(wanted);
        // A tag counts as a whole, with its #.
        const is = (tag: PyValue) => typeof tag === "string" && tag.toLowerCase() === wanted;
        return tweetsWhere((t) => has(t.get("content")) || listOf(t.get("tags")).some(is));
      },
      get_tweet_comments: ({ tweet_id }) => withTweet(tweet_id, (_tweet, id) => comments.get(id) ?? []),
      get_user_stats: ({ username: name }) =>
        dict({
          tweet_count: BigInt(by(name).length),
          // The simulator knows the followed users of its own account only.
          following_count: name === username() ? BigInt(following.length) : 0n,
          retweet_count: BigInt(listOf(retweets.get(textOf(name)) ?? []).length),
        }),
    },
  };
};

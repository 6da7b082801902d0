// Package bot decides what the bot says: a [Script] and a [Turn] in, an [Answer]
// out. It is pure: no clock, no I/O, the same answer for the same turn.
//
// # The script
//
// A script is a YAML file, read by [Load]. testdata/bot/full.yaml shows all of it
// with comments; this is the whole of it in brief, … standing for what is said:
//
//	version: 1
//	default_locale: en           # whose texts are for all others; en if left out
//	greeting:                    # required: answers hello, and a first message that matches nothing
//	  keywords: [hello, hi]      # whole messages; required
//	  say: …                     # exactly one message
//	get_started: {say: …}        # the Get Started button; the greeting if left out
//	shortcuts:                   # tried first
//	  - id: menu                 # required, unique among shortcuts and rules: letters, digits, _ - .
//	    keywords: [menu]         # whole messages; required
//	    say: …                   # or goto: the id of a rule
//	rules:
//	  - id: hours
//	    keywords: [open, hours]  # found anywhere in a message, as whole words
//	    match:
//	      exact: [when]          # the whole message
//	      contains: [open]       # the same as keywords
//	      regex: ['(?i)^when']   # RE2, on the text as it was written
//	    payloads: [HOURS]        # of quick replies, buttons and menus; case counts
//	    refs: [hours-mail]       # of links and opt-ins; a referral finds payloads too
//	    media: [like, image]     # audio, file, sticker, video, any, …
//	    say: …
//	    handoff: true            # then pass the thread to people; say may be left out
//	    silent: true             # instead of say: nothing, on purpose
//	returned: {say: …}           # the first message after people had the thread, if it matches nothing
//	media_fallback: {say: …}     # media that no rule is for; the first fallback if left out
//	fallback:                    # required: the nth answers the nth misunderstanding in a row, the last stays
//	  - say: …
//	  - handoff: true
//	profile:                     # beside the conversation; usher setup tells Meta
//	  greeting: …                # above an empty one; at most 160 characters
//	  ice_breakers:              # at most 4 questions to begin with
//	    - {title: When are you open?, goto: hours}
//	  menu:                      # at most 18 items; the ways to people and back are added
//	    - {title: Opening hours, goto: hours}
//	    - {title: Website, url: "https://…"}
//
// What is said is a text, a message, or a list of at most 10 of them:
//
//	say: Good morning!
//	say:
//	  - {image: "https://…"}     # or audio, video, file
//	  - cards:                   # at most 10; at least one thing beside the title
//	      - {title: …, subtitle: …, image: "https://…", url: "https://…", buttons: […]}
//	  - text: {en: Which one?, de: Welches?}
//	    buttons:                 # at most 3
//	      - {title: Website, url: "https://…"}
//	      - {title: Opening hours, goto: hours}
//	    quick_replies:           # at most 13, with the last message only
//	      - {title: Talk to a human, handoff: true}
//	      - {title: Back to bot, back_to_bot: true}
//	      - {title: My order, payload: ORDER, image: "https://…"}
//	      - {title: Opening hours}
//
// A tap leads to the rule that goto names, hands the thread over or back, or
// sends its payload; one that does none of these says its title, which a rule
// must answer. A tap whose payload no rule knows any more says its title too.
//
// Texts, titles and subtitles may be written by locale. Texts, and the titles and
// subtitles of cards, may mention {{first_name|there}} and {{page_name|us}}, the
// word after | being for customers whose name is unknown. A text that grows too
// long by a name is cut at a character that the eye sees as one, with "…".
//
// # Which rule answers
//
// Of a tap or a referral: the rule with its payload. Of media: the rule with its
// type, or with any. Of a text, or of a tap that no payload is for: the first of
//
//  1. a shortcut, a rule or the greeting with the whole text for a keyword,
//     emoji around it or not;
//  2. the rule with the longest keyword that is in the text, the first in the
//     file among equals;
//  3. the first rule with a pattern that matches.
//
// Keywords are compared by [Key]. Where a script has no spaces between words, as
// in Chinese or Thai, a keyword is found anywhere in a text.
package bot

package bot

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxHeard is how much of a text is looked at, in characters: as much as the bot
// itself may say at once.
const maxHeard = maxText

// index finds the rule for a turn: payloads first, then the whole text, then words
// in it (the longest keyword wins), then patterns in the order of the file.
type index struct {
	payloads map[string]*rule
	refs     map[string]*rule
	media    map[string]*rule
	exact    map[string]*rule // by Key
	words    words
	patterns []pattern
}

type pattern struct {
	re   *regexp.Regexp
	rule *rule
}

// anyMedia is the type that stands for all types.
const anyMedia = "any"

// find returns the rule for t, nil for none.
func (x *index) find(t Turn) *rule {
	switch t.Kind {
	case QuickReply, Postback:
		if r := x.payloads[t.Payload]; r != nil {
			return r
		}
		return x.heard(t.Text) // its title: what the customer says by tapping it
	case Media:
		if r := x.media[t.Payload]; r != nil {
			return r
		}
		if r := x.media["sticker"]; r != nil && t.Payload == LikeMedia {
			return r
		}
		return x.media[anyMedia]
	case Referral:
		if r := x.refs[t.Payload]; r != nil {
			return r
		}
		return x.payloads[t.Payload]
	case Text:
	}
	return x.heard(t.Text)
}

// heard returns the rule for a text.
func (x *index) heard(text string) *rule {
	text = head(text, maxHeard)
	key := Key(text)
	if r := x.exact[key]; r != nil {
		return r
	}
	if bare := withoutSymbols(key); bare != "" {
		if r := x.exact[bare]; r != nil {
			return r
		}
	}
	if r := x.words.longest(key); r != nil {
		return r
	}
	for _, p := range x.patterns {
		if p.re.MatchString(text) {
			return p.rule
		}
	}
	return nil
}

// withoutSymbols returns key without the words that are symbols: "hello 👋" is
// hello. It is empty where key has none, or nothing else.
func withoutSymbols(key string) string {
	if strings.IndexFunc(key, unicode.IsSymbol) < 0 {
		return ""
	}
	var kept []string
	for word := range strings.SplitSeq(key, " ") {
		if r, _ := utf8.DecodeRuneInString(word); !unicode.IsSymbol(r) {
			kept = append(kept, word)
		}
	}
	return strings.Join(kept, " ")
}

// words is a tree of keywords, a word to a branch: looking a message up costs as
// much for one keyword as for a thousand.
type words struct {
	next map[string]*words
	rule *rule // of the keyword that ends here; nil for none
	size int   // of that keyword, in characters without spaces
}

func (w *words) add(key string, r *rule) {
	size := 0
	for word, rest := nextWord(key); word != ""; word, rest = nextWord(rest) {
		size += utf8.RuneCountInString(word)
		if w.next == nil {
			w.next = map[string]*words{}
		}
		branch := w.next[word]
		if branch == nil {
			branch = &words{}
			w.next[word] = branch
		}
		w = branch
	}
	w.rule, w.size = r, size
}

// longest returns the rule of the longest keyword in a message's key, the first
// in the message among equals; nil for none.
func (w *words) longest(key string) *rule {
	best := &words{}
	for key != "" {
		at := w
		word, rest := nextWord(key)
		for from := rest; word != ""; word, from = nextWord(from) {
			if at = at.next[word]; at == nil {
				break
			}
			if at.rule != nil && (at.size > best.size || at.size == best.size && at.rule.order < best.rule.order) {
				best = at
			}
		}
		key = rest
	}
	return best.rule
}

// apart returns a key with a space between all the words of it: the same for all
// keywords that lead to the same place.
func apart(key string) string {
	var words []string
	for word, rest := nextWord(key); word != ""; word, rest = nextWord(rest) {
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// nextWord splits a key after its first word. Where a script puts no spaces
// between words, every character is one, so that a keyword is found anywhere.
func nextWord(key string) (word, rest string) {
	key = strings.TrimPrefix(key, " ")
	alone := false
	for i, r := range key {
		switch {
		case r == ' ':
			return key[:i], key[i:]
		case i == 0:
			alone = unspaced(r)
		case unspaced(r), alone && !unicode.IsMark(r):
			return key[:i], key[i:]
		}
	}
	return key, ""
}

// unspaced tells whether r is a letter of a script without spaces.
func unspaced(r rune) bool {
	return r >= '\u0E00' && unicode.IsLetter(r) && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

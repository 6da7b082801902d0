package bot

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Bounds of a script.
const (
	maxRules     = 1000
	maxShortcuts = 1000
	maxKeywords  = 200  // in one list
	maxKeyword   = 100  // characters
	maxPatterns  = 200  // in all
	maxPattern   = 500  // characters
	maxSteps     = 2000 // of a compiled pattern: each costs time for every character of a message
	maxID        = 64   // characters
	maxVariants  = 20   // of the fallback
)

// Ids of the sections that are answers themselves.
const (
	greetingID      = "greeting"
	getStartedID    = "get_started"
	returnedID      = "returned"
	fallbackID      = "fallback"
	mediaFallbackID = "media_fallback"
)

// Load reads a script; name stands before what is wrong with it. All faults are
// returned at once, as a [*FaultError]. What loads never says anything that is
// beyond Meta's limits, and has an answer to every text.
func Load(name string, src []byte) (*Script, error) {
	l := &loader{
		document: document{name: name, aliases: map[*ast.AliasNode]ast.Node{}, merging: map[*ast.MappingNode]bool{}},
		script: &Script{index: index{
			payloads: map[string]*rule{}, refs: map[string]*rule{}, media: map[string]*rule{}, exact: map[string]*rule{},
		}},
		ids:     map[string]*entry{},
		claims:  map[claim]claimant{},
		choices: map[string]locales{},
	}
	if root, ok := l.parse(src); ok {
		l.read(root)
	}
	if err := l.err(); err != nil {
		return nil, err
	}
	return l.script, nil
}

// loader turns a document into a script.
type loader struct {
	document

	script   *Script
	entries  []*entry // in the order of the file
	ids      map[string]*entry
	claims   map[claim]claimant
	patterns int

	// Of one locale at a time, see speak.
	locale  string
	locales []string           // that texts are written in; the default one first
	choices map[string]locales // by the names of the locales
	named   bool
	taps    []tap
}

// entry is a rule that is being read.
type entry struct {
	rule    *rule
	at      node
	says    node // zero for none
	leads   node // its goto; zero for none
	reached bool // something leads here
}

// A claim is what leads to one rule only: "exact" and a key, "payload" and a
// payload, and so on.
type claim struct{ kind, key string }

type claimant struct {
	entry *entry
	at    node
}

// read reads the sections: those whose rules are tried first come first.
func (l *loader) read(root node) {
	f, ok := l.fields(root, "version", "default_locale", greetingID, getStartedID, "shortcuts", "rules",
		returnedID, fallbackID, mediaFallbackID, "profile")
	if !ok {
		return
	}
	l.version(root, f)
	l.defaultLocale(f)
	if n, ok := f["shortcuts"]; ok {
		for _, n := range l.items(n, maxShortcuts) {
			l.shortcut(n)
		}
	}
	if n, ok := f["rules"]; ok {
		for _, n := range l.items(n, maxRules) {
			l.rule(n)
		}
	}
	l.greeting(root, f)
	l.fallback(root, f)
	l.script.returned = l.section(f, returnedID)
	l.script.mediaFallback = l.section(f, mediaFallbackID)
	l.speak(f["profile"])
	l.check()
}

func (l *loader) version(root node, f map[string]node) {
	n, ok := f["version"]
	if !ok {
		l.fault(root, "version is missing: write version: 1")
		return
	}
	if v, ok := l.scalar(n, maxID); ok && v != "1" {
		l.fault(n, "%s, want 1, the only version there is", v)
	}
}

func (l *loader) defaultLocale(f map[string]node) {
	l.locales = []string{"en"}
	n, ok := f["default_locale"]
	if !ok {
		return
	}
	if s, ok := l.scalar(n, maxID); ok {
		if name, ok := l.localeName(n, s); ok {
			l.locales[0] = name
		}
	}
}

// localeName returns a locale as Meta writes it.
func (l *loader) localeName(n node, s string) (string, bool) {
	if _, ok := parseLocale(s); !ok && !metaLocale(s) {
		l.fault(n, "%q is no locale that is known: write a language (en) or a language and a country (en_US)", s)
		return "", false
	}
	return strings.ReplaceAll(s, "-", "_"), true
}

// shortcut reads words that are a whole message, and lead to an answer of their
// own or to a rule's.
func (l *loader) shortcut(n node) {
	f, ok := l.fields(n, "id", "keywords", "goto", "say", "handoff", "silent")
	if !ok {
		return
	}
	e := l.entry(n, f, l.id(n, f))
	if _, ok := f["keywords"]; !ok {
		l.fault(n, "keywords are missing: the words that are the whole message")
		e.reached = true // one fault is enough
	}
	l.exact(e, f["keywords"])
}

func (l *loader) rule(n node) {
	f, ok := l.fields(n, "id", "keywords", "match", "payloads", "refs", "media", "say", "handoff", "silent")
	if !ok {
		return
	}
	e := l.entry(n, f, l.id(n, f))
	l.contains(e, f["keywords"])
	if n, ok := f["match"]; ok {
		if f, ok := l.fields(n, "exact", "contains", "regex"); ok {
			l.exact(e, f["exact"])
			l.contains(e, f["contains"])
			l.regex(e, f["regex"])
		}
	}
	x := &l.script.index
	l.strings(e, f["payloads"], maxPayload, func(n node, s string) {
		if strings.HasPrefix(s, PayloadRule) || slices.Contains(handoverPayloads(), s) {
			l.fault(n, "%q is taken: it has its meaning without a rule", s)
		} else if l.claim(e, n, "payload", s) {
			x.payloads[s] = e.rule
		}
	})
	l.strings(e, f["refs"], maxPayload, func(n node, s string) {
		if l.claim(e, n, "ref", s) {
			x.refs[s] = e.rule
		}
	})
	l.strings(e, f["media"], maxID, func(n node, s string) {
		if known := mediaTypes(); !slices.Contains(known, s) {
			l.fault(n, "unknown type %q: %s", s, didYouMean(s, known))
		} else if l.claim(e, n, "media", s) {
			x.media[s] = e.rule
		}
	})
}

// handoverPayloads are answered before the script is asked: the first asks for a
// person, the second for the bot, and the rest are the same from a menu. Package
// handover has them too; a script can name the first two with handoff and
// back_to_bot.
func handoverPayloads() []string {
	return []string{payloadHandoff, payloadBack, "USHER_HANDOFF_MENU", "USHER_BACK_MENU"}
}

// These are handover.PayloadHandoff and handover.PayloadBack: this package imports
// nothing of ours.
const (
	payloadHandoff = "USHER_HANDOFF"
	payloadBack    = "USHER_BACK"
)

// mediaTypes are the types of attachments that a customer may send, and what the
// script adds to them.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/webhook-events/messages
func mediaTypes() []string {
	return []string{
		anyMedia, LikeMedia, "image", "audio", "video", "file", "sticker", "reel", "ig_reel", "post", "ig_post",
		"fallback", "template", "appointment_booking",
	}
}

// greeting reads the answer to hello, and what Get Started says.
func (l *loader) greeting(root node, f map[string]node) {
	n, ok := f[greetingID]
	if !ok {
		l.fault(root, "greeting is missing: it answers hello, and a first message that matches nothing")
	} else if f, ok := l.fields(n, "keywords", "say"); ok {
		e := l.entry(n, f, greetingID)
		e.reached = true
		l.script.greeting = e.rule
		if _, ok := f["keywords"]; !ok {
			l.fault(n, "keywords are missing: the messages that are a greeting and nothing else, such as [hello, hi]")
		}
		l.exact(e, f["keywords"])
	}
	started := l.script.greeting
	if r := l.section(f, getStartedID); r != nil {
		started = r
	}
	if x := &l.script.index; x.payloads[PayloadGetStarted] == nil && started != nil {
		x.payloads[PayloadGetStarted] = started
	}
}

// section reads an answer that has no rule; nil where the script has none.
func (l *loader) section(f map[string]node, id string) *rule {
	n, ok := f[id]
	if !ok {
		return nil
	}
	if f, ok = l.fields(n, "say", "handoff", "silent"); !ok {
		return nil
	}
	e := l.entry(n, f, id)
	e.reached = true
	return e.rule
}

// fallback reads what the nth misunderstanding in a row is answered.
func (l *loader) fallback(root node, f map[string]node) {
	n, ok := f[fallbackID]
	if !ok {
		l.fault(root, "fallback is missing: it answers what nothing else does")
		return
	}
	for _, n := range l.items(n, maxVariants) {
		if f, ok := l.fields(n, "say", "handoff"); ok {
			e := l.entry(n, f, fallbackID)
			e.reached = true
			l.script.fallback = append(l.script.fallback, e.rule)
		}
	}
}

// entry reads what is said.
func (l *loader) entry(n node, f map[string]node, id string) *entry {
	e := &entry{
		rule: &rule{id: id, order: len(l.entries), handoff: l.flag(f["handoff"])},
		at:   n, says: f["say"], leads: f["goto"],
	}
	l.entries = append(l.entries, e)
	if id != "" && l.ids[id] == nil {
		l.ids[id] = e
		if id != fallbackID && id != mediaFallbackID && id != returnedID {
			l.script.index.payloads[PayloadRule+id] = e.rule
		}
	}
	ways := 0
	for _, has := range []bool{e.says.Node != nil, e.leads.Node != nil, l.flag(f["silent"])} {
		if has {
			ways++
		}
	}
	if ways > 1 {
		l.fault(n, "say, goto and silent exclude each other")
	}
	if ways == 0 && !e.rule.handoff {
		l.fault(n, "says nothing: give it a say, or silent: true if that is meant")
	}
	return e
}

// id returns a rule's id, "" where it has no good one.
func (l *loader) id(n node, f map[string]node) string {
	at, ok := f["id"]
	if !ok {
		l.fault(n, "id is missing: buttons that customers have keep pointing to it")
		return ""
	}
	id, ok := l.scalar(at, maxID)
	if !ok {
		return ""
	}
	const good = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
	if strings.Trim(id, good) != "" {
		l.fault(at, "%q: letters a to z, digits, _, - and . only", id)
		return ""
	}
	if slices.Contains([]string{greetingID, getStartedID, returnedID, fallbackID, mediaFallbackID}, id) {
		l.fault(at, "%q is the id of a section: choose another", id)
		return ""
	}
	if first := l.ids[id]; first != nil {
		line, _ := first.at.position()
		l.fault(at, "%q is the id of %s too (line %d)", id, first.at.path, line)
		return ""
	}
	return id
}

// strings reads a list and gives each text of it to use; what is listed leads to e.
func (l *loader) strings(e *entry, n node, limit int, use func(node, string)) {
	if n.Node == nil {
		return
	}
	e.reached = true
	for _, n := range l.items(n, maxKeywords) {
		if s, ok := l.scalar(n, limit); ok {
			use(n, s)
		}
	}
}

func (l *loader) exact(e *entry, n node) {
	l.keywords(e, n, func(n node, key string) {
		if l.claim(e, n, "exact", key) {
			l.script.index.exact[key] = e.rule
		}
	})
}

func (l *loader) contains(e *entry, n node) {
	l.keywords(e, n, func(n node, key string) {
		if l.claim(e, n, "contains", apart(key)) {
			l.script.index.words.add(key, e.rule)
		}
	})
}

func (l *loader) keywords(e *entry, n node, use func(n node, key string)) {
	l.strings(e, n, maxKeyword, func(n node, s string) {
		if key := Key(s); key != "" {
			use(n, key)
		} else {
			l.fault(n, "%q has no letter, digit or symbol: it would never match", s)
		}
	})
}

func (l *loader) regex(e *entry, n node) {
	l.strings(e, n, maxPattern, func(n node, s string) {
		re, err := regexp.Compile(s)
		if err != nil {
			if bad, ok := errors.AsType[*syntax.Error](err); ok {
				l.fault(n, "not a pattern: %s: %s (https://pkg.go.dev/regexp/syntax)", bad.Code, bad.Expr)
			} else {
				l.fault(n, "not a pattern: %v", err)
			}
			return
		}
		switch steps, possible := size(s); {
		case !possible:
			l.fault(n, "%q would never match", s)
		case steps > maxSteps:
			l.fault(n, "%d steps when compiled, at most %d: repeat less", steps, maxSteps)
		case re.MatchString(""):
			l.fault(n, "%q matches every message: that is what the fallback is for", s)
		case l.claim(e, n, "regex", s):
			l.script.index.patterns = append(l.script.index.patterns, pattern{re, e.rule})
			l.patterns++
			if l.patterns == maxPatterns+1 {
				l.fault(n, "more than %d patterns: use keywords, which cost nothing", maxPatterns)
			}
		}
	})
}

// size returns how many instructions a pattern that compiles is, and whether
// anything matches it.
func size(pattern string) (steps int, possible bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, false
	}
	re = re.Simplify()
	prog, err := syntax.Compile(re)
	if err != nil {
		return 0, false
	}
	return len(prog.Inst), re.Op != syntax.OpNoMatch && (re.Op != syntax.OpCharClass || len(re.Rune) > 0)
}

// claim gives what leads to a rule to e, or reports whose it is already. Said
// twice of the same rule it does no harm.
func (l *loader) claim(e *entry, n node, kind, key string) bool {
	c := claim{kind, key}
	first, taken := l.claims[c]
	if taken && first.entry != e {
		line, _ := first.at.position()
		l.fault(n, "%q leads to %q already (%s, line %d): only one can answer", key, first.entry.label(), first.at.path, line)
		return false
	}
	if !taken {
		l.claims[c] = claimant{e, n}
	}
	return true
}

func (e *entry) label() string {
	if e.rule.id == "" {
		return e.at.path
	}
	return e.rule.id
}

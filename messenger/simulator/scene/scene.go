// Package scene plays scenes: conversations at a simulated Meta that are written
// down once and played again by everybody, with what came of each line below it.
//
//	# Only the default app answers a thread that nobody controls.
//	page apps=desk
//	10:00 ann says "hello"
//	> to usher, messaging: message "hello"
//	> to desk, standby: message "hello"
//	10:01 desk sends "me first"
//	> refused 10/2018300: (#10) Message failed to send because another app is controlling this thread now.
//
// testdata/scenes/README.md is the grammar. The app under test acts by the script
// itself, or is a real bot over HTTP whose calls appear as lines.
package scene

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usher/messenger/simulator"
)

// Scene is a scene that was read.
type Scene struct {
	Name string
	// Source is the text that was read, Expected the number of its `>` lines.
	Source   string
	Expected int

	app   string   // what the app under test is called
	apps  []string // what other apps are called
	page  []setting
	lines []*line
}

// FaultError is something in a scene that cannot be played.
type FaultError struct {
	File         string
	Line, Column int // count from 1; columns in characters
	Text         string
}

// Error returns file:line:column and what is wrong and how to mend it.
func (f *FaultError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Text)
}

// setting is a name and a value of the page line, or of meta sets.
type setting struct{ name, value string }

// line is one line of the script: who does what, and when.
type line struct {
	number   int
	at       time.Duration // since the beginning of the first day
	who      string
	verb     string
	text     string // of a deed
	fields   []field
	expected int // `>` lines below it
	given    bool
}

// field is a name=value of a line.
type field struct {
	word  word
	name  string
	value string
}

// Whom a line may begin with, besides customers and apps.
const (
	agent   = "agent"
	ai      = "ai"
	meta    = "meta"
	nothing = "nothing" // nothing happens
	inbox   = "inbox"
)

// Parse reads a scene. Its error joins a [*FaultError] for each line that is wrong.
func Parse(name string, src []byte) (*Scene, error) {
	p := &parser{scene: &Scene{Name: name, Source: string(src), app: "usher"}}
	for i, text := range strings.Split(strings.TrimSuffix(string(src), "\n"), "\n") {
		p.number = i + 1
		if err := p.line(text); err != nil {
			p.faults = append(p.faults, err)
		}
	}
	if len(p.scene.lines) == 0 && len(p.faults) == 0 {
		p.number = 1
		p.faults = append(p.faults, p.fault(word{column: 1}, `nothing happens in it: write a line such as 10:00 ann says "hello"`))
	}
	return p.scene, errors.Join(p.faults...)
}

// parser reads line by line.
type parser struct {
	scene  *Scene
	number int
	faults []error
	last   time.Duration
}

func (p *parser) fault(at word, format string, args ...any) error {
	return &FaultError{File: p.scene.Name, Line: p.number, Column: at.column, Text: fmt.Sprintf(format, args...)}
}

// word is a part of a line: bare, "quoted" or `quoted`, or name=value with a value
// that may be quoted.
type word struct {
	text   string
	name   string // of name=value
	quoted bool
	column int // counts from 1, in characters
}

// split cuts a line into words.
func (p *parser) split(text string) (words []word, _ error) {
	for rest := text; ; {
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return words, nil
		}
		w := word{column: utf8.RuneCountInString(text[:len(text)-len(rest)]) + 1}
		if i := strings.IndexAny(rest, "= \t\"`"); i > 0 && rest[i] == '=' {
			w.name, rest = rest[:i], rest[i+1:]
		}
		quoted, err := strconv.QuotedPrefix(rest)
		switch {
		case err == nil && rest[0] != '\'':
			if w.text, err = strconv.Unquote(quoted); err != nil {
				return nil, p.fault(w, "%s: %v", quoted, err)
			}
			w.quoted, rest = true, rest[len(quoted):]
		case strings.HasPrefix(rest, `"`) || strings.HasPrefix(rest, "`"):
			return nil, p.fault(w, "the text has no end: close it with %c; a \" within \" is written \\\"", rest[0])
		default:
			n := strings.IndexAny(rest+" ", " \t")
			w.text, rest = rest[:n], rest[n:]
		}
		words = append(words, w)
	}
}

func (p *parser) line(text string) error {
	switch {
	case strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#"):
		return nil
	case strings.HasPrefix(text, ">"):
		if len(p.scene.lines) == 0 {
			return p.fault(word{column: 1}, "nothing has happened yet that this could come of: move it below a line of the script")
		}
		p.scene.Expected++
		p.scene.lines[len(p.scene.lines)-1].expected++
		return nil
	}
	words, err := p.split(text)
	if err != nil {
		return err
	}
	if words[0].text == "page" {
		return p.page(words)
	}
	at, words, err := p.time(words)
	if err != nil {
		return err
	}
	l := &line{number: p.number, at: at}
	p.last = at
	p.scene.lines = append(p.scene.lines, l)
	return p.deed(l, words)
}

// page reads the line of settings.
func (p *parser) page(words []word) error {
	if len(p.scene.lines) > 0 {
		return p.fault(words[0], "the page line comes first; later, write 10:00 meta sets done=release")
	}
	for _, w := range words[1:] {
		switch {
		case w.name == "" && w.text == "app", w.name == "" && w.text == "apps":
			return p.fault(w, "name them: %s=desk", w.text)
		case w.name == "app":
			p.scene.app = w.text
		case w.name == "apps":
			p.scene.apps = strings.Split(w.text, ",")
		default:
			s, err := p.setting(w)
			if err != nil {
				return err
			}
			p.scene.page = append(p.scene.page, s)
		}
	}
	return nil
}

// setting reads name=value, or name alone, which is name=true.
func (p *parser) setting(w word) (setting, error) {
	s := setting{name: w.name, value: w.text}
	if w.name == "" {
		s = setting{name: w.text, value: "true"}
	}
	if s.name == "default" || s.name == "social" {
		if s.value != "none" && p.app(s.value) == "" {
			return s, p.fault(w, "no app is called %q: use %s, or name it with apps=%s", s.value, strings.Join(append(p.apps(), "none"), ", "), s.value)
		}
		return s, nil
	}
	var try simulator.Settings
	if err := try.Set(s.name, s.value); err != nil || s.name == "default_app" || s.name == "links" {
		return s, p.fault(w, "%s", orElse(err, "it is set otherwise: default=desk, meta routes_link ref=sale app=desk"))
	}
	return s, nil
}

func orElse(err error, text string) string {
	if err != nil {
		return err.Error()
	}
	return text
}

// apps are the names of all apps of the scene.
func (p *parser) apps() []string { return append([]string{p.scene.app, inbox}, p.scene.apps...) }

// app returns name where an app is called so, or where it is an id; else "".
func (p *parser) app(name string) string {
	if _, err := strconv.ParseUint(name, 10, 64); err == nil {
		return name
	}
	if slices.Contains(p.apps(), name) {
		return name
	}
	return ""
}

const wantTime = "want a time: 10:00, 10:00:30 or +1d 10:00"

// time reads `[+1d] 10:00[:00[.000]]`.
func (p *parser) time(words []word) (time.Duration, []word, error) {
	days, first := 0, words[0]
	if n, ok := strings.CutPrefix(words[0].text, "+"); ok {
		var err error
		if days, err = strconv.Atoi(strings.TrimSuffix(n, "d")); err != nil || days < 0 || len(words) < 2 {
			return 0, nil, p.fault(words[0], "%s", wantTime)
		}
		words = words[1:]
	}
	layout := "15:04:05"
	if len(words[0].text) == len("15:04") {
		layout = "15:04"
	}
	clock, err := time.Parse(layout, words[0].text)
	if err != nil || words[0].name != "" || words[0].quoted {
		return 0, nil, p.fault(words[0], "%s", wantTime)
	}
	at := time.Duration(days)*24*time.Hour + clock.Sub(clock.Truncate(24*time.Hour))
	if at < p.last {
		return 0, nil, p.fault(first, "time goes back: write +%dd %s where it is the next day", int(p.last.Hours())/24+1, words[0].text)
	}
	return at, words[1:], nil
}

// deed reads who does what.
func (p *parser) deed(l *line, words []word) error {
	if len(words) < 2 || words[0].name != "" || words[1].name != "" {
		at := word{column: 1}
		if len(words) > 0 {
			at = words[len(words)-1]
		}
		return p.fault(at, `want who does what: ann says "hello", agent replies "hi", %s takes, nothing happens`, p.scene.app)
	}
	l.who, l.verb = words[0].text, words[1].text
	if err := p.rest(l, words[2:]); err != nil {
		return err
	}
	verbs := simulator.Verbs()
	switch {
	case l.who == nothing:
		if l.verb == "happens" && len(words) == 2 {
			return nil
		}
		return p.fault(words[1], "want: nothing happens")
	case l.who == meta:
		return p.metaDeed(l, words)
	case l.who == agent || l.who == ai:
		return p.check(l, words, verbs[l.who], map[string]string{agent: "an agent", ai: "Meta's AI"}[l.who])
	case l.who == inbox:
		return p.fault(words[0], "people act in the inbox: write agent %s", l.verb)
	case p.app(l.who) != "":
		return p.check(l, words, verbs["app"], "an app")
	case !isName(l.who):
		return p.fault(words[0], "%s", wantName)
	}
	return p.check(l, words, verbs["customer"], "a customer (no app is called so: the page line names apps)")
}

// rest reads what follows who and does: a text, and name=value.
func (p *parser) rest(l *line, words []word) error {
	for _, w := range words {
		switch {
		case w.name != "":
			l.fields = append(l.fields, field{w, w.name, w.text})
		case l.who == meta && metaVerbs()[l.verb].flags:
			l.fields = append(l.fields, field{w, w.text, "true"})
		case l.given:
			return p.fault(w, "one text is enough: quote it, and write the rest as name=value")
		default:
			l.text, l.given = w.text, true
		}
	}
	return nil
}

const wantName = "want the name of a customer in small letters: ann"

func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_0123456789") == "" && s[0] >= 'a'
}

// check looks the verb up, and its fields.
func (p *parser) check(l *line, words []word, verbs []simulator.Verb, what string) error {
	i := slices.IndexFunc(verbs, func(v simulator.Verb) bool { return v.Does == l.verb })
	if i < 0 {
		var names []string
		for _, v := range verbs {
			names = append(names, v.Does)
		}
		return p.fault(words[1], "%s cannot %q: %s can: %s", l.who, l.verb, what, strings.Join(names, ", "))
	}
	v := verbs[i]
	may := slices.Concat(v.Needs, v.Takes)
	given := []string{}
	if l.given {
		given = append(given, "text")
	}
	if l.given && !slices.Contains(may, "text") {
		return p.fault(words[2], "%s takes no text", l.verb)
	}
	for _, f := range l.fields {
		if !slices.Contains(may, f.name) || f.name == "text" {
			return p.fault(f.word, "%s takes no %s=: it takes %s", l.verb, f.name, cmp.Or(strings.Join(may, ", "), "nothing"))
		}
		if slices.Contains(given, f.name) {
			return p.fault(f.word, "%s= comes twice", f.name)
		}
		if err := p.value(f); err != nil {
			return err
		}
		given = append(given, f.name)
	}
	for _, name := range v.Needs {
		if name != "customer" && !slices.Contains(given, name) {
			return p.fault(words[1], "%s needs %s", l.verb, map[bool]string{true: "a text", false: name + "="}[name == "text"])
		}
	}
	return nil
}

// value checks the value of a field.
func (p *parser) value(f field) error {
	switch f.name {
	case "app":
		if p.app(f.value) == "" {
			return p.fault(f.word, "no app is called %q: use %s, or name it on the page line", f.value, strings.Join(p.apps(), ", "))
		}
	case "customer":
		if !isName(f.value) {
			return p.fault(f.word, "%s", wantName)
		}
	default:
		if err := assign(&simulator.Deed{}, f.name, f.value); err != nil {
			return p.fault(f.word, "%s: %v", f.name, err)
		}
	}
	return nil
}

// assign sets a field of a struct by its name in JSON, from text: lists are a|b.
func assign(to any, name, value string) error {
	v := reflect.ValueOf(to).Elem()
	for i := range v.NumField() {
		tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if tag != name {
			continue
		}
		at := v.Field(i)
		if at.Kind() == reflect.String {
			at.SetString(value)
			return nil
		}
		if list, ok := reflect.TypeAssert[*[]string](at.Addr()); ok {
			*list = strings.Split(value, "|")
			return nil
		}
		return json.Unmarshal([]byte(value), at.Addr().Interface())
	}
	return fmt.Errorf("there is no %s", name)
}

package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/viper"
)

// fill sets every field from the layers: default, file, environment. viper keeps
// the layers; values go through it whole and under flat keys, so that none of
// what it does to nested keys, maps and bare numbers can happen.
func (l *loader) fill(all []setting) {
	layers := viper.NewWithOptions(viper.KeyDelimiter("::"))
	file := make(map[string]any, len(l.file))
	for path, v := range l.file {
		file[path] = v
	}
	if err := layers.MergeConfigMap(file); err != nil {
		l.faultAt(Position{Name: l.name, Line: 1, Column: 1}, "", "%v", err)
	}
	for _, s := range all {
		if text, ok := s.tag.Lookup("default"); ok {
			layers.SetDefault(s.path, value{text: text})
		}
		if v, ok := l.fromEnv(s); ok {
			layers.Set(s.path, v)
		}
	}
	for _, s := range all {
		if v, ok := layers.Get(s.path).(value); ok {
			l.decode(s, v)
		}
	}
}

// fromEnv returns what the environment sets.
func (l *loader) fromEnv(s setting) (value, bool) {
	name := variable(s.path)
	text, found := l.lookup(name)
	if section, key, ok := cutLast(s.path); ok && !found && section == "handover.time_limit" && key == "after" {
		name = variable(section)
		text, found = l.lookup(name)
	}
	v := value{at: Position{Name: name}, text: text}
	if !isSecret(s.field.Type()) {
		return v, found
	}
	at := Position{Name: variable(s.path + twin)}
	file, hasTwin := l.lookup(at.Name)
	switch {
	case hasTwin && found:
		l.faultAt(at, s.path, "set twice, also by %s: keep one of the two", name)
		return value{}, false
	case hasTwin:
		return l.readTwin(at, s.path, s.field.Type(), file)
	}
	return v, found
}

// lookup returns a variable that is set to something.
func (l *loader) lookup(name string) (string, bool) {
	s, ok := l.env(name)
	return s, ok && s != ""
}

// pages returns how many Pages the file and the environment name.
func (l *loader) pages() int {
	for n := 0; ; n++ {
		set := n < l.filePages
		for _, key := range keys(reflect.TypeFor[Page]()) {
			_, inEnv := l.lookup(variable(join(item("messenger.pages", n), key)))
			set = set || inEnv
		}
		if !set {
			return n
		}
	}
}

// placeholder begins every value of the starter file that is to be replaced.
const placeholder = "change-me"

// decode sets a field to a value.
func (l *loader) decode(s setting, v value) {
	if v.at != (Position{}) {
		l.at[s.path] = v.at
	}
	if slices.ContainsFunc(append(v.items, entry{text: v.text}), func(e entry) bool { return strings.HasPrefix(e.text, placeholder) }) {
		l.stillStands(s)
		return
	}
	if text, ok := assign(s.field, v); !ok {
		l.fault(s.path, "%s", text)
	}
}

func (l *loader) stillStands(s setting) {
	mend := "write your own"
	if hint := s.tag.Get("hint"); hint != "" {
		mend = hint
	}
	l.placeholder[s.path] = true
	l.cfg.Placeholders = append(l.cfg.Placeholders, Fault{
		At: l.where(s.path), Path: s.path,
		Text: fmt.Sprintf("still the placeholder of the starter file: %s; or set %s", mend, variable(s.path)),
	})
}

// assign sets a field, or tells what is wrong with the value.
func assign(field reflect.Value, v value) (complaint string, ok bool) {
	switch p := field.Addr().Interface().(type) {
	case *[]string:
		return assignList(p, v, true)
	case *[]Secret:
		return assignList(p, v, false)
	case *map[string]string:
		*p, complaint = assignNamed(v)
		return complaint, complaint == ""
	case *Text:
		return assignText(p, v)
	default:
		if v.kind != one {
			return "wants one value", false
		}
		return assignOne(p, v.text)
	}
}

func assignOne(field any, text string) (complaint string, ok bool) {
	var err error
	switch p := field.(type) {
	case *string:
		*p = text
	case *Secret:
		*p = Secret(text)
	case *bool:
		if *p = text == "true"; !*p && text != "false" {
			return fmt.Sprintf("%q is neither true nor false", text), false
		}
	case *int:
		if *p, err = strconv.Atoi(text); err != nil {
			return fmt.Sprintf("%q is not a whole number", text), false
		}
	case *time.Duration:
		if *p, err = ParseDuration(text); err != nil {
			return err.Error(), false
		}
	default:
		return fmt.Sprintf("cannot be set: %T", field), false // a field that this file forgot
	}
	return "", true
}

// assignList reads a list. A single text is a comma separated list in the
// environment and in a default; in the file it is an item, where that is allowed.
func assignList[S ~string](p *[]S, v value, listOnly bool) (complaint string, ok bool) {
	inFile := v.at.Line > 0
	switch {
	case listOnly && (v.kind == named || v.kind == one && inFile):
		return "wants a list, such as [one, two]", false
	case v.kind == named:
		return "wants one text, or a list", false
	case v.kind == one && inFile:
		*p = []S{S(v.text)}
		return "", true
	}
	list := []S{}
	for _, x := range v.parts() {
		list = append(list, S(x.text))
	}
	*p = list
	return "", true
}

// assignNamed reads texts by name.
func assignNamed(v value) (m map[string]string, complaint string) {
	if v.kind == many || v.kind == one && v.at.Line > 0 {
		return nil, "wants names and values, such as {sales: 1234567890}"
	}
	m = map[string]string{}
	for _, x := range v.parts() {
		if v.kind == one {
			name, text, found := strings.Cut(x.text, "=")
			if !found {
				return nil, fmt.Sprintf("%q is not NAME=ID", x.text)
			}
			x.name, x.text = strings.TrimSpace(name), strings.TrimSpace(text)
		}
		m[x.name] = x.text
	}
	return m, ""
}

// assignText reads a text, or texts by locale: the one named default is for all
// others, or else the first.
func assignText(p *Text, v value) (complaint string, ok bool) {
	t := Text{}
	switch v.kind {
	case one:
		t[""] = v.text
	case many:
		return "wants a text, or texts by locale, such as {default: ..., de: ...}", false
	case named:
		for i, x := range v.items {
			if i == 0 || x.name == "default" {
				t[""] = x.text
			}
			if x.name != "default" {
				t[x.name] = x.text
			}
		}
	}
	*p = t
	return "", true
}

// parts returns the items of a value, a single text being a comma separated list.
func (v value) parts() []entry {
	if v.kind != one {
		return v.items
	}
	var parts []entry
	for text := range strings.SplitSeq(v.text, ",") {
		if text = strings.TrimSpace(text); text != "" {
			parts = append(parts, entry{at: v.at, text: text})
		}
	}
	return parts
}

func cutLast(path string) (section, key string, ok bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

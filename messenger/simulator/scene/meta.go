package scene

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"usher/messenger/simulator"
)

// metaVerb is something that happens at Meta itself.
type metaVerb struct {
	takes []string // the fields; nil takes settings
	do    func(*Stage, fields) error
}

// fields are a line's name=values.
type fields map[string]string

func metaVerbs() map[string]metaVerb {
	allow := func(may bool) func(*Stage, fields) error {
		return func(st *Stage, f fields) error { st.meta.AllowTake(st.names.app(f["app"]), may); return nil }
	}
	return map[string]metaVerb{
		"sets":     {},
		"allows":   {takes: []string{"app"}, do: allow(true)},
		"forbids":  {takes: []string{"app"}, do: allow(false)},
		"holds":    {takes: []string{}, do: func(st *Stage, _ fields) error { st.meta.HoldDeliveries(); return nil }},
		"delivers": {takes: []string{"batch"}, do: deliver},
		"heals":    {takes: []string{}, do: func(st *Stage, _ fields) error { st.meta.Heal(); return nil }},
	}
}

func deliver(st *Stage, f fields) error {
	batch := 0
	if text, ok := f["batch"]; ok {
		var err error
		if batch, err = strconv.Atoi(text); err != nil || batch < 1 || batch > 1000 {
			return fmt.Errorf("batch=%s: want 1 to 1000", text) //nolint:err113 // shown once, to a person
		}
	}
	st.meta.ReleaseDeliveries(batch)
	return nil
}

// metaDeed reads what happens at Meta.
func (p *parser) metaDeed(l *line, words []word) error {
	v, ok := metaVerbs()[l.verb]
	if !ok {
		return p.fault(words[1], "meta cannot %q: it can: %s", l.verb, strings.Join(slices.Sorted(maps.Keys(metaVerbs())), ", "))
	}
	for i, f := range l.fields {
		switch {
		case v.do == nil:
			s, err := p.setting(f.word)
			if err != nil {
				return err
			}
			l.fields[i].name, l.fields[i].value = s.name, s.value
		case !slices.Contains(v.takes, f.name):
			return p.fault(f.word, "%s takes no %s: it takes %s", l.verb, f.name, strings.Join(append([]string{"nothing more"}, v.takes...)[min(1, len(v.takes)):], ", "))
		case f.name == "app" && p.app(f.value) == "":
			return p.fault(f.word, "no app is called %q: use %s", f.value, strings.Join(p.apps(), ", "))
		}
	}
	if v.do == nil && len(l.fields) == 0 {
		return p.fault(words[1], "sets needs name=value: there are default, %s", strings.Join(simulator.SettingNames(), ", "))
	}
	return nil
}

// metaActs carries out what happens at Meta.
func (st *Stage) metaActs(l *line) error {
	v := metaVerbs()[l.verb]
	if v.do == nil {
		var list []setting
		for _, f := range l.fields {
			list = append(list, setting{f.name, f.value})
		}
		return st.set(list)
	}
	given := fields{}
	for _, f := range l.fields {
		given[f.name] = f.value
	}
	return v.do(st, given)
}

// set changes settings.
func (st *Stage) set(list []setting) error {
	s := st.meta.Settings()
	for _, one := range list {
		switch {
		case one.name == "default" && one.value == "none":
			s.DefaultApp = ""
		case one.name == "default":
			s.DefaultApp = st.names.app(one.value)
		default:
			if err := s.Set(one.name, one.value); err != nil {
				return err
			}
		}
	}
	st.meta.SetSettings(s)
	return nil
}

package scene

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"usher/messenger/simulator"
)

// metaVerb is something that happens at Meta, and that is no deed of the simulator's.
type metaVerb struct {
	takes []string // the fields; nil takes any
	flags bool     // a field may be a name alone
	check func(*parser, *field) error
	do    func(*Stage, []field) error
}

func metaVerbs() map[string]metaVerb {
	allow := func(may bool) func(*Stage, []field) error {
		return func(st *Stage, f []field) error { st.meta.AllowTake(st.names.app(f[0].value), may); return nil }
	}
	return map[string]metaVerb{
		"sets":     {flags: true, check: (*parser).checkSetting, do: (*Stage).sets},
		"fails":    {flags: true, check: (*parser).checkFailure, do: (*Stage).fails},
		"allows":   {takes: []string{"app"}, do: allow(true)},
		"forbids":  {takes: []string{"app"}, do: allow(false)},
		"holds":    {takes: []string{}, do: func(st *Stage, _ []field) error { st.meta.HoldDeliveries(); return nil }},
		"delivers": {takes: []string{"batch"}, do: (*Stage).delivers},
		"heals":    {takes: []string{}, do: func(st *Stage, _ []field) error { st.meta.Heal(); return nil }},
	}
}

// metaDeed reads what happens at Meta.
func (p *parser) metaDeed(l *line, words []word) error {
	v, ok := metaVerbs()[l.verb]
	if !ok {
		also := strings.Join(slices.Sorted(maps.Keys(metaVerbs())), ", ")
		return p.check(l, words, simulator.Verbs()[meta], "it also can: "+also+"; and it")
	}
	if l.given {
		return p.fault(words[2], "%s takes no text", l.verb)
	}
	for i := range l.fields {
		f := &l.fields[i]
		switch {
		case v.check != nil:
			if err := v.check(p, f); err != nil {
				return err
			}
		case !slices.Contains(v.takes, f.name):
			return p.fault(f.word, "%s takes no %s: it takes %s", l.verb, f.name, cmp.Or(strings.Join(v.takes, ", "), "nothing more"))
		case f.name == "app":
			if err := p.value(*f); err != nil {
				return err
			}
		}
	}
	if len(l.fields) == 0 && (v.check != nil || slices.Contains(v.takes, "app")) {
		return p.fault(words[1], "%s needs name=value: %s", l.verb, map[string]string{
			"sets": "there are default, " + strings.Join(simulator.SettingNames(), ", "), "fails": "edge=messages code=613, say",
		}[l.verb]+strings.Join(v.takes, ""))
	}
	return nil
}

func (p *parser) checkSetting(f *field) error {
	s, err := p.setting(f.word)
	f.name, f.value = s.name, s.value
	return err
}

func (p *parser) checkFailure(f *field) error {
	if f.name == "edge" || f.name == "customer" {
		return nil
	}
	if f.name == "app" {
		return p.value(*f)
	}
	if _, err := failure([]field{*f}); err != nil {
		return p.fault(f.word, "%v", err)
	}
	return nil
}

// failure reads what goes wrong, in the names that it has in JSON.
func failure(list []field) (out simulator.Failure, _ error) {
	object := map[string]json.RawMessage{}
	for _, f := range list {
		raw := json.RawMessage(f.value)
		if f.word.quoted || !json.Valid(raw) {
			raw, _ = json.Marshal(f.value) // a string always can be
		}
		object[f.name] = raw
	}
	b, err := json.Marshal(object)
	if err != nil {
		return out, err
	}
	err = json.Unmarshal(b, &out)
	return out, err
}

// fails arms a failure.
func (st *Stage) fails(list []field) error {
	edge := ""
	var rest []field
	for _, f := range list {
		switch f.name {
		case "edge":
			edge = f.value
			continue
		case "app":
			f.value, f.word.quoted = string(st.names.app(f.value)), true
		case "customer":
			f.name, f.value, f.word.quoted = "psid", string(st.customer(f.value).PSID()), true
		}
		rest = append(rest, f)
	}
	what, err := failure(rest)
	if err == nil {
		st.meta.FailNext(edge, what)
	}
	return err
}

// delivers lets go of what was held.
func (st *Stage) delivers(list []field) error {
	batch := 0
	if len(list) > 0 {
		var err error
		if batch, err = strconv.Atoi(list[0].value); err != nil || batch < 1 || batch > 1000 {
			return fmt.Errorf("batch=%s: want 1 to 1000", list[0].value) //nolint:err113 // shown once, to a person
		}
	}
	st.meta.ReleaseDeliveries(batch)
	return nil
}

// sets changes settings.
func (st *Stage) sets(list []field) error {
	var all []setting
	for _, f := range list {
		all = append(all, setting{f.name, f.value})
	}
	return st.set(all)
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
		case one.name == "social" && one.value == "none":
			s.Social = ""
		case one.name == "social":
			s.Social = st.names.app(one.value)
		default:
			if err := s.Set(one.name, one.value); err != nil {
				return err
			}
		}
	}
	st.meta.SetSettings(s)
	return nil
}

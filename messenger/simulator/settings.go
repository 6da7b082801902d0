package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"usher/messenger"
)

// Settings are what can be changed while the Page is there.
type Settings struct {
	// DefaultApp answers a thread that nobody controls. "" is zero-config.
	DefaultApp messenger.AppID `json:"default_app"`
	// Social is the app of social routing, see [Meta.RouteSocial]; Links are those of
	// link routing by ref, see [Meta.RouteLink].
	Social messenger.AppID            `json:"social"`
	Links  map[string]messenger.AppID `json:"links"`
	// Take is App's "take control of conversations".
	Take bool `json:"take"`
	// Done is what happens when an agent clicks Done.
	Done Done `json:"done"`
	// AppIDs is how app ids are written in JSON.
	AppIDs AppIDs `json:"app_ids"`
	Doubts Doubts `json:"doubts"`
}

// Settings returns the settings as they are.
func (m *Meta) Settings() Settings {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Settings{
		DefaultApp: m.defaultApp, Social: m.social, Links: maps.Clone(m.links), Take: m.us.mayTake,
		Done: m.opt.Done, AppIDs: m.opt.AppIDs, Doubts: m.opt.Doubts,
	}
}

// SetSettings changes the settings.
func (m *Meta) SetSettings(s Settings) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setRoutes(s.DefaultApp, s.Social, s.Links)
	m.us.mayTake, m.opt.Done, m.opt.AppIDs, m.opt.Doubts = s.Take, s.Done, s.AppIDs, s.Doubts.withDefaults()
	m.happened()
}

// Set changes one setting, or one doubt, by its name in JSON.
func (s *Settings) Set(name, value string) error {
	at, set := any(s), fieldsOf(s)
	delete(set, "doubts") // they are set one by one
	if set[name] == nil {
		at, set = &s.Doubts, fieldsOf(s.Doubts)
	}
	raw := value
	switch now := set[name]; {
	case now == nil:
		return fmt.Errorf("setting %q: %w: there are %s", name, errNoName, strings.Join(SettingNames(), ", "))
	case now[0] == '"':
		raw = string(mustMarshal(value))
	}
	if err := strict(fmt.Appendf(nil, "{%q:%s}", name, raw), at); err != nil {
		return fmt.Errorf("setting %s=%s: %w", name, value, err)
	}
	return nil
}

// SettingNames returns the names that [Settings.Set] knows, sorted.
func SettingNames() []string {
	names := slices.Concat(slices.Collect(maps.Keys(fieldsOf(Settings{}))), slices.Collect(maps.Keys(fieldsOf(Doubts{}))))
	return slices.Sorted(slices.Values(slices.DeleteFunc(names, func(name string) bool { return name == "doubts" })))
}

// fieldsOf returns the fields of a struct as they stand in JSON.
func fieldsOf(v any) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(mustMarshal(v), &fields); err != nil {
		panic(fmt.Sprintf("simulator: %T is no object: %v", v, err)) // only structs come here
	}
	return fields
}

// strict reads one JSON value into v, and refuses keys that v does not have.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one JSON value, at offset %d", d.InputOffset())
	}
	return nil
}

// The values that have names, in the order of their constants.

func doneNames() []string      { return []string{"pass", "release", "nothing"} }
func appIDsNames() []string    { return []string{"mixed", "strings", "numbers"} }
func idleOwnerNames() []string { return []string{"stays", "default", "default_send"} }
func takeToldNames() []string  { return []string{"previous", "all"} }

// MarshalText writes the name: pass, release or nothing.
func (d Done) MarshalText() ([]byte, error) { return nameOf(d, doneNames()) }

// UnmarshalText reads the name.
func (d *Done) UnmarshalText(b []byte) error { return fromName(d, b, doneNames()) }

// MarshalText writes the name: mixed, strings or numbers.
func (a AppIDs) MarshalText() ([]byte, error) { return nameOf(a, appIDsNames()) }

// UnmarshalText reads the name.
func (a *AppIDs) UnmarshalText(b []byte) error { return fromName(a, b, appIDsNames()) }

// MarshalText writes the name: stays, default or default_send.
func (i IdleOwner) MarshalText() ([]byte, error) { return nameOf(i, idleOwnerNames()) }

// UnmarshalText reads the name.
func (i *IdleOwner) UnmarshalText(b []byte) error { return fromName(i, b, idleOwnerNames()) }

// MarshalText writes the name: previous or all.
func (t TakeTold) MarshalText() ([]byte, error) { return nameOf(t, takeToldNames()) }

// UnmarshalText reads the name.
func (t *TakeTold) UnmarshalText(b []byte) error { return fromName(t, b, takeToldNames()) }

var errNoName = errors.New("there is none of that name")

func nameOf[T ~uint8](v T, names []string) ([]byte, error) {
	if int(v) >= len(names) {
		return nil, fmt.Errorf("%T %d: %w", v, v, errNoName)
	}
	return []byte(names[v]), nil
}

func fromName[T ~uint8](v *T, b []byte, names []string) error {
	i := slices.Index(names, string(b))
	if i < 0 {
		return fmt.Errorf("%q: %w: want %s", b, errNoName, strings.Join(names, ", "))
	}
	*v = T(i)
	return nil
}

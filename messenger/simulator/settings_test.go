package simulator_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

func TestSettingsAreSetByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.Settings()
	for name, value := range map[string]string{
		"default_app": string(desk), "take": "false", "done": "release", "app_ids": "numbers",
		"idle_owner": "default_send", "take_told": "all", "menu_hidden": "true", "take_refusal": "200",
		"social": string(desk), "links": `{"flyer":"2262510160704936"}`,
	} {
		if err := got.Set(name, value); err != nil {
			t.Error(err)
		}
	}
	want := simulator.Settings{
		DefaultApp: desk, Social: desk, Links: map[string]messenger.AppID{"flyer": desk}, Done: simulator.DoneRelease, AppIDs: simulator.AppIDsNumbers, Doubts: w.Settings().Doubts,
	}
	want.Doubts.IdleOwner, want.Doubts.TakeTold = simulator.IdleToDefaultSend, simulator.TakeToldAll
	want.Doubts.MenuHidden, want.Doubts.TakeRefusal = true, 200
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	w.SetSettings(got)
	if diff := cmp.Diff(want, w.Settings()); diff != "" {
		t.Errorf("the Page's settings (-want +got):\n%s", diff)
	}
	w.says("hello")
	w.wantTold(`standby message "hello"`) // the default app is another one
	w.post("take_thread_control", "").want(t, 400, 200, 0)
}

func TestSettingsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ name, value, want string }{
		"no_such_name":  {"colour", "red", `setting "colour": there is none of that name: there are actions_free, ad_days,`},
		"no_such_value": {"done", "perhaps", `"perhaps": there is none of that name: want pass, release, nothing`},
		"not_a_bool":    {"menu_hidden", "maybe", "setting menu_hidden=maybe: "},
		"not_one_value": {"menu_hidden", `true}{`, "more than one JSON value"},
		"all_doubts":    {"doubts", "{}", `setting "doubts"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s simulator.Settings
			if err := s.Set(tt.name, tt.value); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Set(%s, %s) = %v, want %q", tt.name, tt.value, err, tt.want)
			}
		})
	}
}

// Every switch has a name, in JSON and so in `usher simulate` and in scenes; what
// is no flag and no number has names for its values.
func TestEverySwitchHasAName(t *testing.T) {
	t.Parallel()
	names := simulator.SettingNames()
	for _, of := range []reflect.Type{reflect.TypeFor[simulator.Settings](), reflect.TypeFor[simulator.Doubts]()} {
		for f := range of.Fields() {
			tag := f.Tag.Get("json")
			if tag != "doubts" && !strings.Contains(" "+strings.Join(names, " ")+" ", " "+tag+" ") || tag == "" {
				t.Errorf("%s.%s has the name %q", of, f.Name, tag)
			}
			if f.Type.Kind() != reflect.Uint8 {
				continue
			}
			v := reflect.New(f.Type)
			b, err := json.Marshal(v.Interface())
			if err != nil || b[0] != '"' || json.Unmarshal(b, v.Interface()) != nil {
				t.Errorf("%s.%s is written %s, %v: want a name that can be read", of, f.Name, b, err)
			}
			for i := range 1 << 8 { // each value comes back as itself
				v.Elem().SetUint(uint64(i))
				b, err := json.Marshal(v.Interface())
				back := reflect.New(f.Type)
				if err == nil && (json.Unmarshal(b, back.Interface()) != nil || back.Elem().Uint() != uint64(i)) {
					t.Errorf("%s.%s: %d is written %s and read %v", of, f.Name, i, b, back.Elem())
				}
			}
		}
	}
}

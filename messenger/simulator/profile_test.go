package simulator_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each field of the messenger profile as it should be, and what an edit of it is
// answered: refused unless good.
func TestProfileLimits(t *testing.T) {
	t.Parallel()
	const (
		start    = `"get_started":{"payload":"S"},`
		menu     = `"persistent_menu":[{"locale":"default","call_to_actions":[{"type":"postback","title":"Back","payload":"B"}]}]`
		starters = `"ice_breakers":[{"locale":"default","call_to_actions":[{"question":"When?","payload":"P"}]}]`
		greeting = `"greeting":[{"locale":"default","text":"Hi"}]`
		commands = `"commands":[{"locale":"default","commands":[{"name":"help","description":"What I can do"}]}]`
	)
	item := `{"type":"postback","title":"Back","payload":"B"}`
	for name, tt := range map[string]struct {
		good, old, with string
		ok              bool
	}{
		"start":               {start, `"S"`, `"` + long(1000) + `"`, true},
		"start_long":          {start, `"S"`, `"` + long(1001) + `"`, false},
		"menu":                {menu, item, many(20, item), true},
		"menu_of_21":          {menu, item, many(21, item), false},
		"menu_title":          {menu, `"Back"`, `"` + long(30) + `"`, true},
		"menu_title_long":     {menu, `"Back"`, `"` + long(31) + `"`, false},
		"menu_title_none":     {menu, `"Back"`, `""`, false},
		"menu_payload":        {menu, `"B"`, `"` + long(1000) + `"`, true},
		"menu_payload_long":   {menu, `"B"`, `"` + long(1001) + `"`, false},
		"menu_link":           {menu, `"type":"postback"`, `"type":"web_url","url":"https://a.b"`, true},
		"menu_phone":          {menu, `"type":"postback"`, `"type":"phone_number"`, false},
		"menu_not_default":    {menu, `"default"`, `"de_DE"`, false},
		"menu_no_array":       {menu, menu, `"persistent_menu":7`, false},
		"questions":           {starters, `{"question":"When?","payload":"P"}`, many(4, `{"question":"When?","payload":"P"}`), true},
		"questions_too_many":  {starters, `{"question":"When?","payload":"P"}`, many(5, `{"question":"When?","payload":"P"}`), false},
		"questions_none":      {starters, `{"question":"When?","payload":"P"}`, ``, false},
		"question":            {starters, `"When?"`, `"` + long(80) + `"`, true},
		"question_long":       {starters, `"When?"`, `"` + long(81) + `"`, false},
		"question_none":       {starters, `"question":"When?",`, ``, false},
		"question_payload":    {starters, `,"payload":"P"`, ``, false},
		"question_payload_1k": {starters, `"P"`, `"` + long(1001) + `"`, false},
		"question_no_locale":  {starters, `"locale":"default",`, ``, true},
		"greeting":            {greeting, `"Hi"`, `"` + long(160) + `"`, true},
		"greeting_long":       {greeting, `"Hi"`, `"` + long(161) + `"`, false},
		"greeting_none":       {greeting, `"Hi"`, `""`, false},
		"greeting_no_default": {greeting, `"default"`, `"en_US"`, false},
		"commands":            {commands, `{"name":"help","description":"What I can do"}`, many(100, `{"name":"help","description":"What I can do"}`), true},
		"commands_too_many":   {commands, `{"name":"help","description":"What I can do"}`, many(101, `{"name":"help","description":"What I can do"}`), false},
		"command":             {commands, `"help"`, `"` + long(32) + `"`, true},
		"command_long":        {commands, `"help"`, `"` + long(33) + `"`, false},
		"command_none":        {commands, `"name":"help",`, ``, false},
		"description":         {commands, `"What I can do"`, `"` + long(64) + `"`, true},
		"description_long":    {commands, `"What I can do"`, `"` + long(65) + `"`, false},
		"description_none":    {commands, `,"description":"What I can do"`, ``, false},
		"domains":             {`"whitelisted_domains":[]`, `[]`, `["https://a.b"]`, true},
		"domains_no_array":    {`"whitelisted_domains":[]`, `[]`, `{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			with := strings.Trim(edited(t, tt.good, tt.old, tt.with), ",")
			if tt.good != start {
				with = start + with
			}
			a := w.call("POST", "me/messenger_profile", `{`+with+`}`)
			if !tt.ok {
				a.want(t, 400, 100, 0)
				return
			}
			a.wantOK(t)
		})
	}
}

// A menu of her own wins over the Page's, until it is taken back.
func TestUserSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	menu := func(title string) string {
		return `"persistent_menu":[{"locale":"default","call_to_actions":[{"type":"postback","title":"` + title + `","payload":"P"}]}]`
	}
	path := "me/custom_user_settings?psid=" + string(ann)
	set := func(rest string) answer {
		return w.call("POST", "me/custom_user_settings", `{"psid":"`+string(ann)+`",`+rest+`}`)
	}
	read := func() string {
		t.Helper()
		a := w.call("GET", path, "")
		a.wantOK(t)
		b, err := json.Marshal(a.body["data"])
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	shown := func(want ...string) {
		t.Helper()
		var titles []string
		for _, b := range w.Phone(ann).Menu {
			titles = append(titles, b.Title)
		}
		if diff := cmp.Diff(want, titles); diff != "" {
			t.Errorf("menu (-want +got):\n%s", diff)
		}
	}
	set(menu("Mine")).want(t, 400, 100, 2018145) // needs Get Started
	w.call("POST", "me/messenger_profile", `{"get_started":{"payload":"S"}}`).wantOK(t)
	if got := read(); got != `[]` {
		t.Errorf("settings = %s at the start", got)
	}
	w.call("POST", "me/messenger_profile", `{`+menu("Everybody's")+`}`).wantOK(t)
	shown("Everybody's")
	set(menu(long(31))).want(t, 400, 100, 0)
	set(`"persistent_menu":[]`).want(t, 400, 100, 0)
	set(menu("Mine")).wantOK(t)
	shown("Mine")
	if mid, err := w.Customer(ann).TapsMenu("Mine"); err != nil {
		t.Errorf("tap %s: %v", mid, err)
	}
	const items = `[{"call_to_actions":[{"payload":"P","title":"%","type":"postback"}],"locale":"default"}]`
	item := func(title string) string { return strings.Replace(items, "%", title, 1) }
	if want := `[{"page_level_persistent_menu":` + item("Everybody's") + `,"user_level_persistent_menu":` + item("Mine") + `}]`; read() != want {
		t.Errorf("settings = %s, want %s", read(), want)
	}
	w.Customer("2")
	if b := w.Phone("2").Menu; len(b) != 1 || b[0].Title != "Everybody's" {
		t.Errorf("another customer's menu = %v", b)
	}
	w.call("DELETE", path, "").want(t, 400, 100, 0)
	w.call("DELETE", path+`&params=["greeting"]`, "").want(t, 400, 100, 0)
	w.call("DELETE", path+`&params=["persistent_menu"]`, "").wantOK(t)
	shown("Everybody's")
	w.call("GET", "me/custom_user_settings", "").want(t, 400, 100, 0)
	w.call("GET", "me/custom_user_settings?psid=404", "").want(t, 400, 100, 2018001)
	w.call("POST", "me/custom_user_settings", `{"psid":"404",`+menu("Mine")+`}`).want(t, 400, 100, 2018001)
	w.call("DELETE", "me/custom_user_settings?psid=404", "").want(t, 400, 100, 2018001)
}

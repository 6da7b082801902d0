package simulator

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"usher/messenger"
)

// profile is the Page's messenger_profile.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/messenger-profile-api
type profile struct {
	fields map[string]setting
}

// setting is one field, and the app that set it: taps come back to that app.
type setting struct {
	value json.RawMessage
	by    messenger.AppID
}

// The limits of its fields, in characters where a text is meant.
const (
	maxGreeting           = 160
	maxMenuItems          = 20
	maxMenuTitle          = 30
	maxQuestions          = 4
	maxQuestion           = 80
	maxCommands           = 100
	maxCommandName        = 32
	maxCommandDescription = 64
)

// The fields that have a meaning here.
const (
	getStarted = "get_started"
	menu       = "persistent_menu"
	starters   = "ice_breakers"
)

func profileFields() []string {
	return []string{getStarted, menu, starters, "greeting", "commands", "whitelisted_domains", "account_linking_url"}
}

// readProfile is GET /{page}/messenger_profile?fields=….
func (m *Meta) readProfile(c *call) (any, *GraphError) {
	out := map[string]json.RawMessage{}
	for _, name := range list(c.params.text("fields")) {
		if !slices.Contains(profileFields(), name) {
			return nil, bad("Param fields must be one of {%s}", strings.Join(profileFields(), ", "))
		}
		if s, ok := m.profile.fields[name]; ok {
			out[name] = s.value
		}
	}
	data := []map[string]json.RawMessage{}
	if len(out) > 0 {
		data = append(data, out)
	}
	return map[string]any{"data": data}, nil
}

// list splits the text of a list: a,b or ["a","b"].
func list(s string) []string {
	var names []string
	if json.Unmarshal([]byte(s), &names) == nil {
		return names
	}
	for name := range strings.SplitSeq(s, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// writeProfile is POST /{page}/messenger_profile.
func (m *Meta) writeProfile(c *call) (any, *GraphError) {
	changes := map[string]setting{}
	for _, name := range profileFields() {
		if value := c.params.raw(name); len(value) > 0 {
			changes[name] = setting{value: value, by: c.app.id}
		}
	}
	if len(changes) == 0 {
		return nil, bad("Param must be one of {%s}", strings.Join(profileFields(), ", "))
	}
	if _, ok := changes[menu]; ok && !m.has(getStarted) && changes[getStarted].value == nil {
		return nil, needsGetStarted()
	}
	for name, s := range changes {
		if refused := checkSetting(name, s.value); refused != nil {
			return nil, refused
		}
	}
	maps.Copy(m.profile.fields, changes)
	return map[string]string{"result": "success"}, nil
}

func needsGetStarted() *GraphError {
	return refuse(100, 2018145, "(#100) You must set a Get Started button if you also wish to use persistent menu")
}

func (m *Meta) has(name string) bool {
	_, ok := m.profile.fields[name]
	return ok
}

// localised is an element of a field: what is shown in one locale.
type localised struct {
	Locale   string       `json:"locale"`
	Text     string       `json:"text"`            // of a greeting
	Calls    []sendButton `json:"call_to_actions"` // of a menu, or questions
	Commands []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"commands"`
}

// checkSetting knows the limits of the fields.
func checkSetting(name string, value json.RawMessage) *GraphError {
	switch name {
	case getStarted:
		var v struct {
			Payload string `json:"payload"`
		}
		if json.Unmarshal(value, &v) != nil || v.Payload == "" {
			return bad("Param get_started[payload] is required")
		}
		return longest("get_started[payload]", v.Payload, maxPayload)
	case menu, starters, "greeting", "commands":
		var all []localised
		if json.Unmarshal(value, &all) != nil {
			return bad("Param %s must be an array", name)
		}
		isDefault := func(l localised) bool { return l.Locale == "default" || l.Locale == "" && name == starters }
		if !slices.ContainsFunc(all, isDefault) {
			return bad("Param %s needs an element for the default locale", name)
		}
		for _, l := range all {
			if refused := l.check(name); refused != nil {
				return refused
			}
		}
	case "whitelisted_domains":
		var domains []string
		if json.Unmarshal(value, &domains) != nil {
			return bad("Param whitelisted_domains must be an array of strings")
		}
	}
	return nil
}

// check knows the limits of a field in one locale.
func (l localised) check(name string) *GraphError {
	switch name {
	case menu:
		return checkMenu(l.Calls)
	case starters:
		return checkQuestions(l.Calls)
	case "greeting":
		if l.Text == "" {
			return bad("Param greeting[text] is required")
		}
		return longest("greeting[text]", l.Text, maxGreeting)
	}
	if len(l.Commands) > maxCommands {
		return bad("Param commands has more than %d elements", maxCommands)
	}
	for _, c := range l.Commands {
		if c.Name == "" || c.Description == "" {
			return bad("Param commands needs a name and a description for each")
		}
		if refused := longest("commands[name]", c.Name, maxCommandName); refused != nil {
			return refused
		}
		if refused := longest("commands[description]", c.Description, maxCommandDescription); refused != nil {
			return refused
		}
	}
	return nil
}

func checkMenu(items []sendButton) *GraphError {
	if len(items) > maxMenuItems {
		return bad("Param call_to_actions has more than %d elements", maxMenuItems)
	}
	for _, b := range items {
		if b.Title == "" {
			return bad("Param call_to_actions[title] is required")
		}
		if b.Type != "postback" && b.Type != "web_url" {
			return bad("Param call_to_actions[type] must be one of {POSTBACK, WEB_URL}")
		}
		if refused := longest("call_to_actions[title]", b.Title, maxMenuTitle); refused != nil {
			return refused
		}
		if refused := b.check(); refused != nil {
			return refused
		}
	}
	return nil
}

func checkQuestions(questions []sendButton) *GraphError {
	if len(questions) == 0 || len(questions) > maxQuestions {
		return bad("Param ice_breakers[call_to_actions] needs 1 to %d questions", maxQuestions)
	}
	for _, q := range questions {
		if q.Question == "" || q.Payload == "" {
			return bad("Param ice_breakers needs a question and a payload for each")
		}
		if refused := longest("ice_breakers[question]", q.Question, maxQuestion); refused != nil {
			return refused
		}
		if refused := longest("ice_breakers[payload]", q.Payload, maxPayload); refused != nil {
			return refused
		}
	}
	return nil
}

// deleteProfile is DELETE /{page}/messenger_profile {"fields":[…]}.
func (m *Meta) deleteProfile(c *call) (any, *GraphError) {
	names := c.params.names("fields")
	if len(names) == 0 {
		return nil, bad("The parameter fields is required")
	}
	if slices.Contains(names, getStarted) && m.has(menu) && !slices.Contains(names, menu) {
		return nil, needsGetStarted()
	}
	for _, name := range names {
		delete(m.profile.fields, name)
	}
	return map[string]string{"result": "success"}, nil
}

// writeOwn is POST /{page}/custom_user_settings {"psid":"…","persistent_menu":[…]}: a
// menu for one customer, which wins over the Page's.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/persistent-menu
func (m *Meta) writeOwn(c *call) (any, *GraphError) {
	t, refused := m.settingsOf(c)
	if refused != nil {
		return nil, refused
	}
	value := c.params.raw(menu)
	if refused := checkSetting(menu, value); refused != nil {
		return nil, refused
	}
	if !m.has(getStarted) {
		return nil, needsGetStarted()
	}
	t.own = setting{value: value, by: c.app.id}
	return map[string]string{"result": "success"}, nil
}

// readOwn is GET /{page}/custom_user_settings?psid=….
func (m *Meta) readOwn(c *call) (any, *GraphError) {
	t, refused := m.settingsOf(c)
	if refused != nil {
		return nil, refused
	}
	set := map[string]json.RawMessage{}
	if t.own.value != nil {
		set["user_level_persistent_menu"] = t.own.value
	}
	if m.has(menu) {
		set["page_level_persistent_menu"] = m.profile.fields[menu].value
	}
	data := []map[string]json.RawMessage{}
	if len(set) > 0 {
		data = append(data, set)
	}
	return listing{Data: data}, nil
}

// deleteOwn is DELETE /{page}/custom_user_settings?psid=…&params=["persistent_menu"].
func (m *Meta) deleteOwn(c *call) (any, *GraphError) {
	t, refused := m.settingsOf(c)
	if refused != nil {
		return nil, refused
	}
	if names := c.params.names("params"); len(names) != 1 || names[0] != menu {
		return nil, bad("Param params must be [\"persistent_menu\"]")
	}
	t.own = setting{}
	return map[string]string{"result": "success"}, nil
}

// settingsOf returns the thread of the customer whose settings are meant.
func (m *Meta) settingsOf(c *call) (*thread, *GraphError) {
	psid := c.psid()
	if psid == "" {
		return nil, bad("The parameter psid is required")
	}
	t, ok := m.threads[psid]
	if !ok {
		return nil, noSuchUser()
	}
	return t, nil
}

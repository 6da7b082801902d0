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
		return nil, refuse(100, 2018145, "(#100) You must set a Get Started button if you also wish to use persistent menu")
	}
	for name, s := range changes {
		if refused := checkSetting(name, s.value); refused != nil {
			return nil, refused
		}
	}
	maps.Copy(m.profile.fields, changes)
	return map[string]string{"result": "success"}, nil
}

func (m *Meta) has(name string) bool {
	_, ok := m.profile.fields[name]
	return ok
}

// menuItem is a persistent menu for one locale.
type menuItem struct {
	Locale string       `json:"locale"`
	Calls  []sendButton `json:"call_to_actions"`
}

// checkSetting knows the limits of the fields that have a meaning here.
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
	case menu:
		var v []menuItem
		if json.Unmarshal(value, &v) != nil || !slices.ContainsFunc(v, func(i menuItem) bool { return i.Locale == "default" }) {
			return bad("Param persistent_menu needs an element for the default locale")
		}
		for _, i := range v {
			if refused := i.check(); refused != nil {
				return refused
			}
		}
	case starters:
		var v []struct {
			Calls []struct{ Question, Payload string } `json:"call_to_actions"`
		}
		if json.Unmarshal(value, &v) != nil {
			return bad("Param ice_breakers must be an array")
		}
		for _, i := range v {
			if len(i.Calls) > 4 {
				return bad("Param ice_breakers has more than 4 questions")
			}
		}
	}
	return nil
}

// deleteProfile is DELETE /{page}/messenger_profile {"fields":[…]}.
func (m *Meta) deleteProfile(c *call) (any, *GraphError) {
	names := list(string(c.params.raw("fields")))
	if text := c.params.text("fields"); !strings.HasPrefix(text, "[") {
		names = list(text)
	}
	if len(names) == 0 {
		return nil, bad("The parameter fields is required")
	}
	if slices.Contains(names, getStarted) && m.has(menu) && !slices.Contains(names, menu) {
		return nil, refuse(100, 2018145, "(#100) You must set a Get Started button if you also wish to use persistent menu")
	}
	for _, name := range names {
		delete(m.profile.fields, name)
	}
	return map[string]string{"result": "success"}, nil
}

func (i menuItem) check() *GraphError {
	if len(i.Calls) > 20 {
		return bad("Param call_to_actions has more than 20 elements")
	}
	for _, b := range i.Calls {
		if b.Title == "" {
			return bad("Param call_to_actions[title] is required")
		}
		if refused := longest("call_to_actions[title]", b.Title, 30); refused != nil {
			return refused
		}
		if refused := b.check(); refused != nil {
			return refused
		}
	}
	return nil
}

// subscriptions is GET /{page}/subscribed_apps.
func (m *Meta) subscriptions(*call) (any, *GraphError) {
	data := []map[string]any{}
	for _, a := range m.apps {
		if len(a.fields) > 0 && a.id != m.opt.Inbox {
			data = append(data, map[string]any{"id": a.id, "name": "App " + string(a.id), "subscribed_fields": a.fields})
		}
	}
	return map[string]any{"data": data}, nil
}

// subscribe is POST /{page}/subscribed_apps: the fields given replace those
// before, and an app that Meta unsubscribed is back.
func (*Meta) subscribe(c *call) (any, *GraphError) {
	fields := list(c.params.text("subscribed_fields"))
	known := append(DefaultFields(), otherFields()...)
	for i, name := range fields {
		if !slices.Contains(known, name) {
			return nil, bad("Param subscribed_fields[%d] must be one of {%s} - got %q.", i, strings.Join(known, ", "), name)
		}
	}
	if len(fields) == 0 {
		return nil, bad("The parameter subscribed_fields is required.")
	}
	c.app.fields, c.app.lapsed = fields, false
	return success{Success: true}, nil
}

// unsubscribe is DELETE /{page}/subscribed_apps.
func (*Meta) unsubscribe(c *call) (any, *GraphError) {
	c.app.fields = nil
	return success{Success: true}, nil
}

// page is GET /{page}?fields=id,name,messaging_feature_status.
func (m *Meta) page(c *call) (any, *GraphError) {
	out := map[string]any{"id": m.opt.Page}
	for _, name := range list(or(c.params.text("fields"), "id,name")) {
		switch name {
		case "id":
		case "name":
			out[name] = m.opt.PageName
		case "messaging_feature_status":
			out[name] = map[string]bool{"hop_v2": false, "msgr_multi_app": m.defaultApp != "", "ig_multi_app": false}
		default:
			return nil, bad("Tried accessing nonexisting field (%s) on node type (Page)", name)
		}
	}
	return out, nil
}

// person is GET /{psid}?fields=…; only who has written has a profile.
func (m *Meta) person(c *call) (any, *GraphError) {
	t, ok := m.threads[messenger.PSID(c.node)]
	if !ok {
		return nil, refuse(100, 33, "Unsupported get request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, "+
			"or does not support this operation", c.node)
	}
	if t.acted.IsZero() || t.first == "" && t.last == "" {
		return nil, refuse(100, 2018218, "(#100) No profile available for this user.")
	}
	out := map[string]string{"id": c.node}
	for _, name := range list(or(c.params.text("fields"), "first_name,last_name,profile_pic")) {
		var value string
		switch name {
		case "id":
			value = c.node
		case "first_name":
			value = t.first
		case "last_name":
			value = t.last
		case "name":
			value = strings.TrimSpace(t.first + " " + t.last)
		case "locale":
			value = t.locale
		case "profile_pic":
			value = "https://platform-lookaside.invalid/" + c.node + ".jpg"
		default:
			return nil, bad("Tried accessing nonexisting field (%s) on node type (User)", name)
		}
		if value != "" {
			out[name] = value
		}
	}
	return out, nil
}

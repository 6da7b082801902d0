package simulator

import (
	"slices"
	"strings"

	"usher/messenger"
)

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

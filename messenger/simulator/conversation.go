package simulator

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/messenger"
)

// The Conversations API: what was said while nobody listened.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversations
const (
	detailed     = 20 // of how many messages the API tells more than id and time
	usualPart    = 25
	largestPart  = 100
	conversation = "t_" // begins a conversation's id; the customer's follows
)

// conversations is GET /{page}/conversations?platform=messenger&user_id=…&fields=…,
// newest first.
func (m *Meta) conversations(c *call) (any, *GraphError) {
	platform, user := or(c.params.text("platform"), "messenger"), c.params.text("user_id")
	if platform != "messenger" && platform != "instagram" {
		return nil, bad("Param platform must be one of {INSTAGRAM, MESSENGER}")
	}
	var all []*thread
	for psid, t := range m.threads {
		if platform == "messenger" && len(t.lines) > 0 && (user == "" || user == string(psid)) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *thread) int {
		return cmp.Or(b.updated().Compare(a.updated()), cmp.Compare(a.psid, b.psid))
	})
	query := url.Values{"platform": {platform}}
	for _, name := range []string{"user_id", "fields"} {
		if value := c.params.text(name); value != "" {
			query.Set(name, value)
		}
	}
	rows, rest, refused := part(all, request{c.root + c.node + "/" + EdgeConversations, query, c.params.text}, func(t *thread) string { return string(t.psid) })
	if refused != nil {
		return nil, refused
	}
	data := make([]map[string]any, len(rows))
	for i, t := range rows {
		if data[i], refused = m.conversation(c, t, or(c.params.text("fields"), "id,updated_time")); refused != nil {
			return nil, refused
		}
	}
	return listing{data, rest}, nil
}

// updated returns when the last thing was said.
func (t *thread) updated() time.Time { return t.lines[len(t.lines)-1].At }

// readConversation is GET /{conversation}?fields=….
func (m *Meta) readConversation(c *call) (any, *GraphError) {
	t, refused := m.conversationOf(c)
	if refused != nil {
		return nil, refused
	}
	return m.conversation(c, t, or(c.params.text("fields"), "id,updated_time"))
}

// readMessages is GET /{conversation}/messages?fields=….
func (m *Meta) readMessages(c *call) (any, *GraphError) {
	t, refused := m.conversationOf(c)
	if refused != nil {
		return nil, refused
	}
	return m.messagesOf(c, t, c.params.text("fields"), c.params.text)
}

func (m *Meta) conversationOf(c *call) (*thread, *GraphError) {
	t, ok := m.threads[c.psid()]
	if !ok || len(t.lines) == 0 {
		return nil, unsupported(c)
	}
	return t, nil
}

// conversation writes the fields of a thread.
func (m *Meta) conversation(c *call, t *thread, fields string) (map[string]any, *GraphError) {
	all, refused := readFields(fields)
	if refused != nil {
		return nil, refused
	}
	out := map[string]any{"id": conversation + string(t.psid)}
	for _, f := range all {
		switch f.name {
		case "id":
		case "updated_time":
			out[f.name] = graphTime(t.updated())
		case "message_count":
			out[f.name] = len(t.lines)
		case "participants":
			out[f.name] = listing{Data: []participant{m.customerOf(t), m.itself()}}
		case "is_owner":
			out[f.name] = m.owner(t) == c.app.id
		case "messages":
			if out[f.name], refused = m.messagesOf(c, t, f.fields, f.arg); refused != nil {
				return nil, refused
			}
		default:
			return nil, bad("Tried accessing nonexisting field (%s) on node type (Conversation)", f.name)
		}
	}
	return out, nil
}

// messagesOf writes the fields of a thread's messages, newest first. Of those
// beyond the newest 20 there is no more than id and time.
func (m *Meta) messagesOf(c *call, t *thread, fields string, arg func(string) string) (any, *GraphError) {
	all, refused := readFields(or(fields, "id,created_time"))
	if refused != nil {
		return nil, refused
	}
	newest := slices.Clone(t.lines)
	slices.Reverse(newest)
	known := map[messenger.MessageID]bool{}
	for _, l := range newest[:min(detailed, len(newest))] {
		known[l.MID] = true
	}
	query := url.Values{}
	if fields != "" {
		query.Set("fields", fields)
	}
	at := c.root + conversation + string(t.psid) + "/" + EdgeMessages
	rows, rest, refused := part(newest, request{at, query, arg}, func(l Line) string { return string(l.MID) })
	if refused != nil {
		return nil, refused
	}
	data := make([]map[string]any, len(rows))
	for i, l := range rows {
		if data[i], refused = m.messageOf(t, l, all, known[l.MID]); refused != nil {
			return nil, refused
		}
	}
	return listing{data, rest}, nil
}

func (m *Meta) messageOf(t *thread, l Line, fields []field, detailed bool) (map[string]any, *GraphError) {
	from, to := m.customerOf(t), m.itself()
	if l.From == FromPage {
		from, to = to, from
	}
	details := map[string]any{"from": from, "to": listing{Data: []participant{to}}, "message": l.Text}
	out := map[string]any{"id": l.MID}
	for _, f := range fields {
		switch value, ok := details[f.name]; {
		case f.name == "id":
		case f.name == "created_time":
			out[f.name] = graphTime(l.At)
		case !ok:
			return nil, bad("Tried accessing nonexisting field (%s) on node type (Message)", f.name)
		case detailed:
			out[f.name] = value
		}
	}
	return out, nil
}

type participant struct {
	Name string `json:"name,omitempty"`
	ID   string `json:"id"`
}

func (*Meta) customerOf(t *thread) participant {
	return participant{strings.TrimSpace(t.first + " " + t.last), string(t.psid)}
}

func (m *Meta) itself() participant { return participant{m.opt.PageName, string(m.opt.Page)} }

// graphTime writes a time as Graph does.
func graphTime(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05-0700") }

// field is one of those asked for: messages.limit(5){id,message}.
type field struct {
	name   string
	args   string // .limit(5)
	fields string // id,message
}

// arg returns a modifier's argument, "" for none.
func (f field) arg(name string) string {
	_, rest, ok := strings.Cut(f.args, "."+name+"(")
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, ")")
	return value
}

// readFields reads a list of fields.
func readFields(s string) (fields []field, _ *GraphError) {
	shape := regexp.MustCompile(`^\s*(\w+)((?:\.\w+\([^()]*\))*)(?:\{(.*)\})?\s*$`)
	depth, from := 0, 0
	for i, r := range s + "," {
		switch r {
		case '{', '(':
			depth++
		case '}', ')':
			depth--
		case ',':
			if depth > 0 {
				continue
			}
			parts := shape.FindStringSubmatch(s[from:i])
			if parts == nil {
				return nil, refuse(2500, 0, "Syntax error in the field list %q at character %d", s, from)
			}
			fields = append(fields, field{parts[1], parts[2], parts[3]})
			from = i + 1
		}
	}
	if depth != 0 {
		return nil, refuse(2500, 0, "Syntax error in the field list %q: unbalanced brackets", s)
	}
	return fields, nil
}

// listing is an answer with a list in it.
type listing struct {
	Data   any     `json:"data"`
	Paging *paging `json:"paging,omitempty"`
}

type paging struct {
	Cursors struct {
		Before string `json:"before"`
		After  string `json:"after"`
	} `json:"cursors"`
	// Next is where the list goes on; the token has to be added.
	Next string `json:"next,omitempty"`
}

// request is a request for a part of a list: its address and its arguments, of
// which limit and after are known here.
type request struct {
	at    string
	query url.Values
	arg   func(string) string
}

// part returns what r asks for, and where the rest is: 25 elements unless limit
// says otherwise, at most 100, after the one at the cursor.
func part[T any](all []T, r request, key func(T) string) ([]T, *paging, *GraphError) {
	cursor := func(v T) string { return base64.RawURLEncoding.EncodeToString([]byte(key(v))) }
	limit := usualPart
	if s := r.arg("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, nil, bad("Param limit must be an integer above 0")
		}
		limit = min(n, largestPart)
	}
	if after := r.arg("after"); after != "" {
		i := slices.IndexFunc(all, func(v T) bool { return cursor(v) == after })
		if i < 0 {
			return nil, nil, bad("Invalid cursors values")
		}
		all = all[i+1:]
	}
	if len(all) == 0 {
		return []T{}, nil, nil
	}
	rows := all[:min(limit, len(all))]
	p := &paging{}
	p.Cursors.Before, p.Cursors.After = cursor(rows[0]), cursor(rows[len(rows)-1])
	if len(all) > len(rows) {
		r.query.Set("limit", strconv.Itoa(limit))
		r.query.Set("after", p.Cursors.After)
		p.Next = r.at + "?" + r.query.Encode()
	}
	return rows, p, nil
}

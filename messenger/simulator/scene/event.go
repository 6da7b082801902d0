package scene

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usher/messenger"
	"usher/messenger/simulator"
)

// event is an event of a webhook body.
type event struct {
	channel simulator.Channel
	hop     json.RawMessage // the hop_context beside it
	parts   map[string]json.RawMessage
}

// bodyEvents reads the events of a webhook body in their order.
func bodyEvents(body json.RawMessage) (events []event) {
	type item = map[string]json.RawMessage
	var envelope struct {
		Entry []struct {
			Messaging []item          `json:"messaging"`
			Standby   []item          `json:"standby"`
			Hop       json.RawMessage `json:"hop_context"`
		} `json:"entry"`
	}
	if json.Unmarshal(body, &envelope) != nil {
		return nil // too long for the ledger
	}
	for _, e := range envelope.Entry {
		for _, i := range e.Messaging {
			events = append(events, event{simulator.Messaging, e.Hop, i})
		}
		for _, i := range e.Standby {
			events = append(events, event{simulator.Standby, e.Hop, i})
		}
	}
	return events
}

// event describes an event. at is when it was delivered, in Unix milliseconds.
func (n *names) event(e event, t simulator.Told, at int64) string {
	var head struct {
		Sender, Recipient struct{ ID string }
		Timestamp         int64
	}
	head.Timestamp = at
	var contents []string
	text := ""
	for _, name := range slices.Sorted(maps.Keys(e.parts)) {
		switch raw := e.parts[name]; name {
		case "sender":
			_ = json.Unmarshal(raw, &head.Sender) // what cannot be read differs
		case "recipient":
			_ = json.Unmarshal(raw, &head.Recipient)
		case "timestamp":
			_ = json.Unmarshal(raw, &head.Timestamp)
		case "hop_context":
			text += strings.Replace(n.hop(raw), "hop_context", "its own hop_context", 1)
		default:
			contents = append(contents, n.content(name, raw))
		}
	}
	text = cmp.Or(strings.Join(contents, ", "), string(t.Kind)) + text + n.hop(e.hop)
	from, to := string(t.PSID), n.page
	if t.Kind == messenger.KindEcho {
		from, to = to, from
	}
	if head.Sender.ID != from || head.Recipient.ID != to {
		text += ", with its sides swapped"
	}
	if head.Timestamp < 1e11 {
		text += ", dated in seconds"
	}
	return text
}

// hop describes a hop_context: a list of apps, an app, or that Meta's AI has control.
func (n *names) hop(raw json.RawMessage) string {
	type hop struct {
		App messenger.AppID `json:"app_id"`
		AI  bool            `json:"is_ai_thread_owner"`
	}
	var list []hop
	var one hop
	if json.Unmarshal(raw, &list) != nil && json.Unmarshal(raw, &one) == nil {
		list = []hop{one}
	}
	var text strings.Builder
	for _, h := range list {
		if h.AI {
			text.WriteString(", is_ai_thread_owner")
		}
		if h.App != "" {
			text.WriteString(", hop_context of " + n.of(h.App))
		}
	}
	return text.String()
}

// content describes an event by a part that is not about who and when.
func (n *names) content(name string, raw json.RawMessage) string {
	var parts []string
	switch name {
	case "message":
		parts = n.message(raw)
	case "postback":
		parts = n.postback(raw)
	case "pass_thread_control", "take_thread_control", "request_thread_control":
		parts = n.control(strings.TrimSuffix(name, "_thread_control"), raw)
	}
	if parts == nil {
		return name + n.rest(raw)
	}
	return strings.Join(parts, " ")
}

// quoted appends a text with its label, where there is one.
func quoted(parts []string, label, text string) []string {
	if text == "" {
		return parts
	}
	return append(parts, fmt.Sprintf("%s%q", label, text))
}

func (n *names) message(raw json.RawMessage) []string {
	var m struct {
		IsEcho     bool            `json:"is_echo"`
		App        messenger.AppID `json:"app_id"`
		Metadata   string          `json:"metadata"`
		Text       string          `json:"text"`
		AdminText  string          `json:"admin_text"`
		AI         bool            `json:"ai_generated"`
		Referral   json.RawMessage `json:"referral"`
		ReplyTo    json.RawMessage `json:"reply_to"`
		QuickReply struct {
			Payload string `json:"payload"`
		} `json:"quick_reply"`
		Attachments []struct {
			Type    string `json:"type"`
			Payload struct {
				Text string `json:"text"`
			} `json:"payload"`
		} `json:"attachments"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	parts := []string{"message"}
	if m.IsEcho {
		parts[0] = "echo of " + n.of(m.App)
	}
	parts = quoted(quoted(parts, "", m.Text), "admin_text=", m.AdminText)
	if m.AI {
		parts = append(parts, "ai_generated")
	}
	if m.ReplyTo != nil {
		parts = append(parts, "reply_to")
	}
	for _, a := range m.Attachments {
		parts = quoted(append(parts, a.Type), "", a.Payload.Text)
	}
	parts = quoted(parts, "quick_reply=", m.QuickReply.Payload)
	if m.Referral != nil {
		parts = append(parts, "referral"+n.rest(m.Referral))
	}
	if strings.Contains(n.source, m.Metadata) {
		parts = quoted(parts, "metadata=", m.Metadata)
	}
	return parts
}

func (n *names) postback(raw json.RawMessage) []string {
	var p struct {
		Title    string          `json:"title"`
		Payload  string          `json:"payload"`
		Referral json.RawMessage `json:"referral"`
	}
	if json.Unmarshal(raw, &p) != nil {
		return nil
	}
	parts := quoted(quoted([]string{"postback"}, "", p.Title), "payload=", p.Payload)
	if p.Referral != nil {
		parts = append(parts, "referral"+n.rest(p.Referral))
	}
	return parts
}

func (n *names) control(kind string, raw json.RawMessage) []string {
	var c struct {
		Previous  json.RawMessage `json:"previous_owner_app_id"` // null was idle
		New       messenger.AppID `json:"new_owner_app_id"`
		Requested messenger.AppID `json:"requested_owner_app_id"`
		Metadata  string          `json:"metadata"`
	}
	if json.Unmarshal(raw, &c) != nil {
		return nil
	}
	parts := []string{kind}
	if c.Previous != nil {
		var id messenger.AppID
		_ = json.Unmarshal(c.Previous, &id) // what is no id is nobody's
		parts = append(parts, "from "+n.of(id))
	}
	if c.New != "" {
		parts = append(parts, "to "+n.of(c.New))
	}
	if c.Requested != "" {
		parts = append(parts, "by "+n.of(c.Requested))
	}
	return quoted(parts, "metadata=", c.Metadata)
}

// rest writes an event that has no words of its own, without ids and times.
func (n *names) rest(raw json.RawMessage) string {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var fields map[string]any
	if dec.Decode(&fields) != nil {
		return ""
	}
	for _, name := range []string{"mid", "mids", "watermark", "message_id", "recipient_id", "paging"} {
		delete(fields, name)
	}
	if len(fields) == 0 {
		return ""
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(fields) != nil {
		return ""
	}
	return " " + n.rename(strings.TrimSpace(out.String()))
}

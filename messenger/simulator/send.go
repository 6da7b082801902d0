package simulator

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"usher/messenger"
)

// sendAnswer is what POST messages answers.
type sendAnswer struct {
	RecipientID  messenger.PSID      `json:"recipient_id"`
	MessageID    messenger.MessageID `json:"message_id,omitempty"`
	AttachmentID string              `json:"attachment_id,omitempty"`
}

// sendControl is the inline thread_control.
type sendControl struct {
	Type  string          `json:"control_type"`
	AppID messenger.AppID `json:"app_id"`
}

// send is a call to messages, read.
type send struct {
	line       Line
	attachment *sendAttachment
	window     time.Duration // how long after the customer's last act it may go out
	control    *sendControl
}

// messages is POST /{page}/messages.
func (m *Meta) messages(c *call) (any, *GraphError) {
	if action := c.params.text("sender_action"); action != "" {
		return m.action(c, action)
	}
	s, refused := m.readSend(c)
	if paced := m.paceSend(s.line.Attachment); refused == nil {
		refused = paced
	}
	if refused != nil {
		return nil, refused
	}
	t, refused := m.recipient(c)
	if refused != nil {
		return nil, refused
	}
	control, refused := m.permit(t, c.app, s, c.entry.Tag)
	if refused != nil {
		return nil, refused
	}
	line, answer := m.say(t, s.line, s.attachment)
	m.appSent(t, c.app)
	control()
	c.entry.MID = line.MID
	return answer, nil
}

// readSend reads what is to be said, and refuses what no thread could be told.
func (m *Meta) readSend(c *call) (s send, refused *GraphError) {
	var msg sendMessage
	if refused := c.params.object("message", &msg); refused != nil {
		return s, refused
	}
	c.entry.Metadata, c.entry.Tag = msg.Metadata, c.params.text("tag")
	s.line, s.attachment, refused = m.compose(msg)
	c.describe(s.line)
	if refused != nil {
		return s, refused
	}
	if s.window, refused = c.window(s.line); refused != nil {
		return s, refused
	}
	if refused := c.params.object("thread_control", &s.control); refused != nil {
		return s, refused
	}
	c.entry.Control = s.control.String()
	var replyTo replyTo
	if refused := c.params.object("reply_to", &replyTo); refused != nil {
		return s, refused
	}
	s.line.App, s.line.ReplyTo = c.app.id, replyTo.MID
	s.line.Persona, refused = m.signature(c.params.text("persona_id"))
	return s, refused
}

// permit refuses what may not be said on this thread, before any of it is done,
// and returns what applies the inline thread_control afterwards.
func (m *Meta) permit(t *thread, a *app, s send, tag string) (control func(), _ *GraphError) {
	if _, ok := t.find(s.line.ReplyTo); !ok && s.line.ReplyTo != "" {
		return nil, bad("reply_to: message %s is not in this thread", s.line.ReplyTo)
	}
	// A human agent's send takes control, where the Page allows the app to.
	takes := !m.leads(t, a) && tag == tagHumanAgent && m.mayTake(t, a) == nil
	if refused := m.maySend(t, a); refused != nil && !takes {
		return nil, refused
	}
	if refused := m.mayReach(t, s, tag); refused != nil {
		return nil, refused
	}
	owner := m.owner(t)
	if takes {
		owner = a.id
	}
	if s.line.Feedback != nil && owner != a.id && m.defaultApp != "" && !m.opt.Doubts.FeedbackFromIdle {
		return nil, refuse(100, 0, "(#100) calling app is not the thread owner")
	}
	control, refused := m.controlAfter(t, a, owner, s.control)
	if refused == nil && takes {
		m.take(t, a.id, "")
	}
	return control, refused
}

// mayReach refuses what the person may not, or no longer, be sent.
func (m *Meta) mayReach(t *thread, s send, tag string) *GraphError {
	switch {
	case !t.open(m.now(), s.window):
		return refuse(10, 2018278, "(#10) This message is sent outside of allowed window. "+
			"Learn more about the new policy here: https://developers.facebook.com/docs/messenger-platform/policy-overview")
	case t.blocked:
		return refuse(551, 1545041, "(#551) This person isn't available right now.")
	}
	return m.paceTag(t, tag)
}

// say puts a line of the Page on the customer's phone and echoes it.
func (m *Meta) say(t *thread, line Line, attachment *sendAttachment) (Line, sendAnswer) {
	line.At, line.From, line.MID = m.now(), FromPage, messenger.MessageID(m.next("m_"))
	answer := sendAnswer{RecipientID: t.psid, MessageID: line.MID}
	var raw []json.RawMessage
	if attachment != nil {
		if p, _ := attachment.medium(); p.Reusable && line.Template == "" { // it has been read before
			answer.AttachmentID = m.keep(attachment.Type)
		}
		raw = []json.RawMessage{attachment.echo(line)}
	}
	t.add(line)
	m.echo(t, line, raw)
	return line, answer
}

// echo writes an attachment as echoes carry it: a template as it was sent.
func (a *sendAttachment) echo(l Line) json.RawMessage {
	payload := a.Payload
	if l.Template == "" {
		payload = mustMarshal(map[string]string{"url": l.URL})
	}
	return mustMarshal(sendAttachment{a.Type, payload})
}

// recipient returns the thread of the person a call names.
func (m *Meta) recipient(c *call) (*thread, *GraphError) {
	psid := c.psid()
	if psid == "" {
		return nil, bad("The parameter recipient is required")
	}
	t, ok := m.threads[psid]
	if !ok {
		return nil, noSuchUser()
	}
	return t, nil
}

func noSuchUser() *GraphError { return refuse(100, 2018001, "(#100) No matching user found") }

// action is a send of a sender_action.
func (m *Meta) action(c *call, action string) (any, *GraphError) {
	c.entry.Action = action
	if len(c.params["message"]) > 0 {
		return nil, refuse(100, 2018014, "(#100) Cannot send both message and state at the same time.")
	}
	if !slices.Contains([]string{"typing_on", "typing_off", "mark_seen", "react", "unreact"}, action) {
		return nil, bad("Param sender_action must be one of {TYPING_ON, TYPING_OFF, MARK_SEEN, REACT, UNREACT}")
	}
	t, refused := m.recipient(c)
	if refused != nil {
		return nil, refused
	}
	if refused := m.paceSend(""); refused != nil {
		return nil, refused
	}
	if !m.opt.Doubts.ActionsFree {
		if refused := m.maySend(t, c.app); refused != nil {
			return nil, refused
		}
	}
	if refused := m.acts(t, c, action); refused != nil {
		return nil, refused
	}
	return sendAnswer{RecipientID: t.psid}, nil
}

// String writes an inline control as [Call] has it.
func (s *sendControl) String() string {
	switch {
	case s == nil:
		return ""
	case s.Type == "":
		return "release"
	}
	return strings.TrimSpace(s.Type + " " + string(s.AppID))
}

// controlAfter checks an inline thread_control before anything is said, and
// returns what applies it afterwards. owner is who will control t then.
func (m *Meta) controlAfter(t *thread, a *app, owner messenger.AppID, s *sendControl) (apply func(), _ *GraphError) {
	switch {
	case s == nil:
		return func() {}, nil
	case m.defaultApp == "":
		return nil, bad("thread_control is only supported with Conversation Routing")
	case s.Type == "" || s.Type == "release":
		return func() { m.give(t, "") }, nil
	case s.Type != "pass":
		return nil, bad("Param thread_control[control_type] must be one of {PASS, RELEASE}")
	}
	to, refused := m.mayPass(owner, a, s.AppID)
	if refused != nil {
		return nil, refused
	}
	return func() { m.pass(t, to, "") }, nil
}

const tagHumanAgent = "HUMAN_AGENT"

// window returns how long after the customer's last act the message may be sent.
func (c *call) window(line Line) (window time.Duration, _ *GraphError) {
	kind := c.params.text("messaging_type")
	if kind != "" && !slices.Contains([]string{"RESPONSE", "UPDATE", "MESSAGE_TAG", "UTILITY"}, kind) {
		return 0, bad("Param messaging_type must be one of {RESPONSE, UPDATE, MESSAGE_TAG, UTILITY}")
	}
	notify := c.params.text("notification_type")
	if notify != "" && !slices.Contains([]string{"REGULAR", "SILENT_PUSH", "NO_PUSH"}, notify) {
		return 0, bad("Param notification_type must be one of {REGULAR, SILENT_PUSH, NO_PUSH}")
	}
	tag := c.entry.Tag
	switch {
	case kind == "MESSAGE_TAG" && tag == "":
		return 0, bad("Tag is required for messaging_type MESSAGE_TAG")
	case tag == "":
		return day, nil
	case tag == tagHumanAgent:
		return maxExtension, nil
	case tag == "CUSTOMER_FEEDBACK" && line.Template == "customer_feedback":
		return maxExtension, nil
	}
	return 0, bad("Invalid message tag %s", tag) // the others ended on 27 April 2026
}

// describe notes what a send says.
func (c *call) describe(l Line) {
	e := &c.entry
	e.Text, e.Attachment = l.Text, l.Attachment
	for _, q := range l.QuickReplies {
		e.QuickReplies = append(e.QuickReplies, q.Title)
	}
	for _, b := range l.Buttons {
		e.Buttons = append(e.Buttons, b.Title)
	}
	for _, card := range l.Cards {
		e.Cards = append(e.Cards, card.Title)
		for _, b := range card.Buttons {
			e.Buttons = append(e.Buttons, b.Title)
		}
	}
}

// upload is POST /{page}/message_attachments.
func (m *Meta) upload(c *call) (any, *GraphError) {
	var msg sendMessage
	if refused := c.params.object("message", &msg); refused != nil {
		return nil, refused
	}
	var a sendAttachment
	if err := json.Unmarshal(msg.Attachment, &a); err != nil {
		return nil, bad("Param message[attachment] is not what it should be: %v", err)
	}
	c.entry.Attachment = a.Type
	p, refused := a.medium()
	if refused != nil {
		return nil, refused
	}
	p.AttachmentID = nil
	if len(c.params["filedata"]) > 0 {
		p.URL = "https://filedata.invalid/" // came in the body: nothing to fetch
	}
	a.Payload = mustMarshal(p)
	if _, refused := m.media(Line{}, &a); refused != nil {
		return nil, refused
	}
	return map[string]string{"attachment_id": m.keep(a.Type)}, nil
}

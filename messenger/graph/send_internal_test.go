package graph

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"
	"testing"

	"usher/messenger"
	"usher/messenger/flatjson"
	"usher/messenger/flatjson/flatjsontest"
)

// What POST /{PAGE}/messages reads, for encoding/json.
type (
	wireSend struct {
		Recipient     recipient     `json:"recipient"`
		MessagingType MessagingType `json:"messaging_type"`
		Tag           Tag           `json:"tag,omitempty"`
		Message       wireMessage   `json:"message"`
		Notification  Notification  `json:"notification_type,omitempty"`
		Persona       string        `json:"persona_id,omitempty"`
		ReplyTo       *wireReplyTo  `json:"reply_to,omitempty"`
		Control       *wireControl  `json:"thread_control,omitempty"`
	}
	wireMessage struct {
		Text         string           `json:"text,omitempty"`
		Attachment   *wireAttachment  `json:"attachment,omitempty"`
		QuickReplies []wireQuickReply `json:"quick_replies,omitempty"`
		Metadata     string           `json:"metadata,omitempty"`
	}
	wireQuickReply struct {
		ContentType string `json:"content_type"`
		Title       string `json:"title"`
		Payload     string `json:"payload"`
		ImageURL    string `json:"image_url,omitempty"`
	}
	wireReplyTo struct {
		MID messenger.MessageID `json:"mid"`
	}
	wireControl struct {
		Type string          `json:"control_type"`
		App  messenger.AppID `json:"app_id,omitempty"`
	}
)

// drawn is what can be drawn of a message to somebody.
type drawn struct {
	To      messenger.PSID
	Message Message
}

func (d drawn) said() *said { return &said{d.Message, recipient{d.To}} }

// MarshalJSON is what encoding/json writes.
func (d drawn) MarshalJSON() ([]byte, error) {
	m := d.Message
	w := wireSend{
		Recipient: recipient{d.To}, MessagingType: cmp.Or(m.Type, TypeResponse), Tag: m.Tag, Notification: m.Notification, Persona: m.Persona,
		Message: wireMessage{Attachment: d.said().attachment(), Metadata: m.Metadata},
	}
	if w.Message.Attachment == nil {
		w.Message.Text = m.Text
	}
	for _, q := range m.QuickReplies {
		w.Message.QuickReplies = append(w.Message.QuickReplies, wireQuickReply{"text", q.Title, q.Payload, q.ImageURL})
	}
	if m.ReplyTo != "" {
		w.ReplyTo = &wireReplyTo{m.ReplyTo}
	}
	if m.Control != nil {
		w.Control = &wireControl{Type: "pass", App: m.Control.Pass}
		if m.Control.Release {
			w.Control.Type = "release"
		}
	}
	return json.Marshal(w)
}

func (d drawn) flat() ([]byte, error) {
	w := flatjson.NewWriter()
	w.Begin("", '{')
	d.said().writeFlat(w)
	w.End('}')
	return w.Bytes()
}

// What is sent is what encoding/json makes of it.
func TestSaidIsFlat(t *testing.T) {
	t.Parallel()
	flatjsontest.Check(t, drawn.flat)
}

func FuzzSaid(f *testing.F) { flatjsontest.Fuzz(f, drawn.flat) }

// No field of a message is forgotten: what is said differs with each.
func TestEveryFieldIsSaid(t *testing.T) {
	t.Parallel()
	differs(t, Message{}, func(m Message) drawn { return drawn{Message: m} })
	differs(t, QuickReply{}, func(q QuickReply) drawn { return drawn{Message: Message{QuickReplies: []QuickReply{q}}} })
	differs(t, Control{}, func(c Control) drawn { return drawn{Message: Message{Control: &c}} })
	differs(t, Card{}, func(c Card) drawn { return drawn{Message: Message{Cards: []Card{c}}} })
	differs(t, Media{}, func(m Media) drawn { return drawn{Message: Message{Media: &m}} })
}

// differs fails for a field of V that what is said does not tell.
func differs[V any](t *testing.T, zero V, in func(V) drawn) {
	t.Helper()
	for field := range reflect.TypeFor[V]().Fields() {
		v := zero
		switch f := reflect.ValueOf(&v).Elem().FieldByIndex(field.Index); f.Kind() { //nolint:exhaustive // the others are told
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		default:
			t.Fatalf("%T.%s: a %s is not known here", v, field.Name, f.Kind())
		}
		was, err := in(zero).flat()
		if err != nil {
			t.Fatal(err)
		}
		is, err := in(v).flat()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(is, was) {
			t.Errorf("%T.%s is not in %s", v, field.Name, is)
		}
	}
}

// What is understood of an answer without encoding/json, that understands as well, and
// it is no error.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"recipient_id":"1","message_id":"m_1"}`, `{"message_id":"m_1"}`, `{"recipient_id":"1"}`, `{}`, `{"success":true}`, `{"success":false}`,
		`{"success":true,"error":{}}`, `{"recipient_id":"1","message_id":"m_1","error":{}}`, `{"recipient_id":"\u00e9","message_id":"\"<é>"}`, `{"message_id":null}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var flat, want sent
		if ok := flat.readFlat(text); !ok && flat != (sent{}) {
			t.Errorf("%q: not understood, and yet %+v", text, flat)
		} else if err := json.Unmarshal([]byte(text), &want); ok && (err != nil || flat != want) {
			t.Errorf("%q: %+v, encoding/json: %+v, %v", text, flat, want, err)
		} else if ok && mayHoldError([]byte(text)) && holdsError(t, text) {
			t.Errorf("%q is an error", text)
		}
		var yes done
		if (*done)(nil).readFlat(text) {
			if err := json.Unmarshal([]byte(text), &yes); err != nil || yes.Success != nil && !*yes.Success || holdsError(t, text) {
				t.Errorf("%q is a yes; encoding/json: %+v, %v", text, yes, err)
			}
		}
	})
}

func holdsError(t *testing.T, text string) bool {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Errorf("%q: %v", text, err)
	}
	_, found := members["error"]
	return found
}

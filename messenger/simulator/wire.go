package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"

	"usher/messenger"
)

// What webhooks look like on the wire.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events

// envelope is the body of one delivery.
type envelope struct {
	Object string  `json:"object"`
	Entry  []entry `json:"entry"`
}

// entry has either messaging or standby.
type entry struct {
	ID        messenger.PageID `json:"id"`
	Time      int64            `json:"time"` // Unix milliseconds
	Messaging []item           `json:"messaging,omitempty"`
	Standby   []item           `json:"standby,omitempty"`
	Hop       any              `json:"hop_context,omitempty"` // []hopContext or aiContext
}

// hopContext stands beside control events, and inside a lead's summary.
type hopContext struct {
	AppID    rawID  `json:"app_id"`
	Metadata string `json:"metadata"`
}

// aiContext stands beside the events of a thread that Meta's own AI controls.
type aiContext struct {
	Owns bool `json:"is_ai_thread_owner"`
}

// item is one event: the sides, the time, and what happened.
type item struct {
	Sender    *party `json:"sender,omitempty"` // nobody, of what concerns the Page
	Recipient party  `json:"recipient"`
	Timestamp int64  `json:"timestamp,omitempty"` // Unix milliseconds, as a rule

	Message  *message     `json:"message,omitempty"`
	Postback *postback    `json:"postback,omitempty"`
	Edit     *messageEdit `json:"message_edit,omitempty"`
	Reaction *reaction    `json:"reaction,omitempty"`
	Read     *read        `json:"read,omitempty"`
	Delivery *receipt     `json:"delivery,omitempty"`

	Pass    *control                     `json:"pass_thread_control,omitempty"`
	Take    *control                     `json:"take_thread_control,omitempty"`
	Request *control                     `json:"request_thread_control,omitempty"`
	Roles   map[messenger.AppID][]string `json:"app_roles,omitempty"`

	Referral *referral    `json:"referral,omitempty"`
	Lead     *lead        `json:"lead,omitempty"` // beside a lead's referral
	OptIn    *optIn       `json:"optin,omitempty"`
	Linking  *linking     `json:"account_linking,omitempty"`
	Policy   *enforcement `json:"policy_enforcement,omitempty"`
	Feedback *answers     `json:"messaging_feedback,omitempty"`
	Judgment *judgment    `json:"response_feedback,omitempty"`

	Hop *hopContext `json:"hop_context,omitempty"`
}

type party struct {
	ID string `json:"id"`
}

type message struct {
	IsEcho      bool                `json:"is_echo,omitempty"`
	AppID       rawID               `json:"app_id,omitempty"`
	Metadata    string              `json:"metadata,omitempty"`
	AIGenerated bool                `json:"ai_generated,omitempty"`
	MID         messenger.MessageID `json:"mid"`
	Text        string              `json:"text,omitempty"`
	AdminText   string              `json:"admin_text,omitempty"`
	QuickReply  *tapped             `json:"quick_reply,omitempty"`
	ReplyTo     *replyTo            `json:"reply_to,omitempty"`
	Attachments []json.RawMessage   `json:"attachments,omitempty"`
	Referral    *referral           `json:"referral,omitempty"`
}

type tapped struct {
	Payload string `json:"payload"`
}

type replyTo struct {
	MID  messenger.MessageID `json:"mid"`
	Self bool                `json:"is_self_reply"` // to the sender's own
}

type postback struct {
	MID      messenger.MessageID `json:"mid"`
	Title    string              `json:"title"`
	Payload  string              `json:"payload,omitempty"`
	Referral *referral           `json:"referral,omitempty"`
}

type messageEdit struct {
	MID   messenger.MessageID `json:"mid"`
	Text  string              `json:"text"`
	Count int                 `json:"num_edit"`
}

type reaction struct {
	Reaction string              `json:"reaction,omitempty"`
	Emoji    string              `json:"emoji,omitempty"`
	Action   string              `json:"action"`
	MID      messenger.MessageID `json:"mid"`
}

type read struct {
	Watermark int64 `json:"watermark"` // Unix milliseconds
}

// receipt tells what has reached the phone.
type receipt struct {
	MIDs      []messenger.MessageID `json:"mids"`
	Watermark int64                 `json:"watermark"` // Unix milliseconds
}

type control struct {
	Previous  *rawID `json:"previous_owner_app_id,omitempty"` // null was idle
	New       rawID  `json:"new_owner_app_id,omitempty"`
	Requested *rawID `json:"requested_owner_app_id,omitempty"`
	Metadata  string `json:"metadata,omitempty"`
}

// referral tells how she came to the thread.
type referral struct {
	Ref    string     `json:"ref,omitempty"`
	AdID   string     `json:"ad_id,omitempty"`
	Source string     `json:"source"`
	Type   string     `json:"type"`
	Ad     *adContext `json:"ads_context_data,omitempty"`
}

type adContext struct {
	Title string `json:"ad_title"`
}

type lead struct {
	Data []leadAnswer `json:"data"`
}

type leadAnswer struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

type optIn struct {
	Ref      string `json:"ref,omitempty"`
	Type     string `json:"type,omitempty"`
	Title    string `json:"title,omitempty"`
	Payload  string `json:"payload,omitempty"`
	Token    string `json:"notification_messages_token,omitempty"`
	Timezone string `json:"notification_messages_timezone,omitempty"`
	Expiry   int64  `json:"token_expiry_timestamp,omitempty"` // Unix milliseconds
	Status   string `json:"user_token_status,omitempty"`
}

type linking struct {
	Status string `json:"status"`
	Code   string `json:"authorization_code,omitempty"`
}

type enforcement struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
}

// answers are what she answered to a feedback template.
type answers struct {
	Screens []answeredScreen `json:"feedback_screens"`
}

type answeredScreen struct {
	ID        int                       `json:"screen_id"`
	Questions map[string]answeredRating `json:"questions"` // by id
}

type answeredRating struct {
	Type     string          `json:"type"`
	Payload  string          `json:"payload"` // the score, or the free text
	FollowUp *answeredRating `json:"follow_up,omitempty"`
}

type judgment struct {
	Feedback string              `json:"feedback"`
	MID      messenger.MessageID `json:"mid"`
}

// mustMarshal writes a part of a webhook; what is raw in it was read as JSON.
func mustMarshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("simulator: webhook cannot be written: %v", err))
	}
	return b
}

// wire writes JSON as Meta does: beyond ASCII and slashes are escaped, so that a
// receiver which signs anything but the bytes that came fails.
func wire(e envelope) []byte {
	b := mustMarshal(e)
	var out bytes.Buffer
	for _, r := range string(b) {
		switch {
		case r == '/':
			out.WriteString(`\/`)
		case r < 0x80:
			out.WriteRune(r)
		case r <= 0xFFFF:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		}
	}
	return out.Bytes()
}

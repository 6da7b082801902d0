package webhook

import (
	"encoding/json"
	"fmt"
	"io"

	"usher/messenger"
)

// line is an event as `usher decode` prints it, in this order.
type line struct {
	Page          messenger.PageID    `json:"page,omitempty"`
	PSID          messenger.PSID      `json:"psid,omitempty"`
	Kind          messenger.Kind      `json:"kind"`
	Standby       bool                `json:"standby,omitempty"`
	At            string              `json:"at,omitempty"`
	MID           messenger.MessageID `json:"mid,omitempty"`
	Text          string              `json:"text,omitempty"`
	Payload       string              `json:"payload,omitempty"`
	App           messenger.AppID     `json:"app_id,omitempty"`
	NewOwner      messenger.AppID     `json:"new_owner,omitempty"`
	PreviousOwner messenger.AppID     `json:"previous_owner,omitempty"`
	Metadata      string              `json:"metadata,omitempty"`
	Field         string              `json:"field,omitempty"`
}

// WriteLine writes e as one JSON object and a line feed:
//
//	{"page":"1","psid":"2","kind":"message","at":"2016-03-23T00:25:52.478Z","mid":"m_1","text":"hi"}
//
// What is empty is absent, ids are strings, at is RFC 3339 in UTC with
// milliseconds. The error is w's.
func WriteLine(w io.Writer, e messenger.Event) error {
	l := line{
		Page: e.Thread.Page, PSID: e.Thread.PSID, Kind: e.Kind, Standby: e.Standby, MID: e.MID,
		Text: e.Text, Payload: e.Payload, App: e.App, NewOwner: e.NewOwner, PreviousOwner: e.PreviousOwner,
		Metadata: e.Metadata, Field: e.Field,
	}
	if !e.At.IsZero() {
		l.At = e.At.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // a "<" is a "<" to whoever reads it
	if err := enc.Encode(l); err != nil {
		return fmt.Errorf("write event %s: %w", e.ID, err)
	}
	return nil
}

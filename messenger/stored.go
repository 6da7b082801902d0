package messenger

import (
	"encoding/json"
	"strings"

	"usher/messenger/flatjson"
)

// Marshal returns the stored form of e. It fails where a time has no RFC 3339.
func (e Event) Marshal() ([]byte, error) {
	w := flatjson.NewWriter()
	e.Write(w, "")
	return w.Bytes()
}

// Write writes the stored form of e as a member of that name, as
// [flatjson.Writer] says.
func (e Event) Write(w *flatjson.Writer, name string) {
	w.Begin(name, '{')
	w.String("id", e.ID)
	w.Begin("thread", '{')
	w.String("page", string(e.Thread.Page))
	w.String("psid", string(e.Thread.PSID))
	w.End('}')
	w.String("kind", string(e.Kind))
	w.OptTrue("standby", e.Standby)
	w.OptTime("at", e.At)
	w.OptString("mid", string(e.MID))
	w.OptString("text", e.Text)
	w.OptString("payload", e.Payload)
	w.OptString("app", string(e.App))
	w.OptString("new_owner", string(e.NewOwner))
	w.OptString("previous_owner", string(e.PreviousOwner))
	w.OptString("metadata", e.Metadata)
	w.OptString("field", e.Field)
	w.OptTrue("ai", e.AIGenerated)
	w.OptStrings("attachments", e.Attachments)
	w.OptString("sticker", e.Sticker)
	w.OptTime("accepted", e.Accepted)
	w.OptTrue("backfilled", e.Backfilled)
	w.OptTrue("answered", e.Answered)
	w.OptString("trace", e.Trace)
	w.OptString("raw", e.Raw)
	w.End('}')
}

// UnmarshalEvent reads what Marshal writes, and any other JSON of an Event as
// encoding/json does. The event's strings are parts of it.
func UnmarshalEvent(stored string) (Event, error) {
	r := flatjson.NewReader(stored)
	if e := readEvent(&r); r.Done() {
		return e, nil
	}
	var e Event
	err := json.Unmarshal([]byte(stored), &e)
	return e, err
}

// readEvent reads the members in the order of Event.Write: Go calls what stands in
// a literal from top to bottom.
func readEvent(r *flatjson.Reader) Event {
	return Event{
		ID:            r.String("id"),
		Thread:        readThread(r),
		Kind:          Kind(r.String("kind")),
		Standby:       r.True("standby"),
		At:            r.Time("at"),
		MID:           MessageID(r.String("mid")),
		Text:          r.String("text"),
		Payload:       r.String("payload"),
		App:           readApp(r, "app"),
		NewOwner:      readApp(r, "new_owner"),
		PreviousOwner: readApp(r, "previous_owner"),
		Metadata:      r.String("metadata"),
		Field:         r.String("field"),
		AIGenerated:   r.True("ai"),
		Attachments:   r.Strings("attachments"),
		Sticker:       r.String("sticker"),
		Accepted:      r.Time("accepted"),
		Backfilled:    r.True("backfilled"),
		Answered:      r.True("answered"),
		Trace:         r.String("trace"),
		Raw:           r.String("raw"),
	}
}

func readThread(r *flatjson.Reader) ThreadKey {
	r.Begin("thread")
	defer r.End()
	return ThreadKey{Page: PageID(r.String("page")), PSID: PSID(r.String("psid"))}
}

// readApp reads an app id as AppID.UnmarshalJSON does.
func readApp(r *flatjson.Reader, name string) AppID { return AppID(strings.TrimSpace(r.String(name))) }

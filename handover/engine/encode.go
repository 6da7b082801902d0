package engine

import (
	"time"

	"usher/handover"
	"usher/messenger/flatjson"
	"usher/messenger/graph"
)

// What is stored after every event is written here by hand, as encoding/json would
// write it: the members in the order of the fields and by the rules of their tags.
// What is read once, when a thread or an outbox is loaded, encoding/json reads.

// marshal returns the stored form of a thread.
func (r record) marshal() ([]byte, error) {
	w := flatjson.NewWriter()
	w.Begin("", '{')
	writeState(w, "state", &r.State)
	if len(r.Parked) > 0 {
		w.Begin("parked", '[')
		for i := range r.Parked {
			r.Parked[i].Write(w, "")
		}
		w.End(']')
	}
	if r.Profile != nil {
		w.Begin("profile", '{')
		w.OptString("first_name", r.Profile.FirstName)
		w.OptString("locale", r.Profile.Locale)
		w.End('}')
	}
	w.OptTrue("asking", r.Asking)
	w.End('}')
	return w.Bytes()
}

func writeState(w *flatjson.Writer, name string, s *handover.State) {
	w.Begin(name, '{')
	optPhase(w, "phase", s.Phase)
	w.OptString("cause", string(s.Cause))
	w.OptTime("since", s.Since)
	w.OptUint("gen", s.Generation)
	w.OptTime("control_at", s.ControlAt)
	w.OptTrue("passed", s.Passed)
	w.OptString("awaiting", string(s.Awaiting))
	w.OptString("return", string(s.Return))
	w.OptTime("asked_at", s.AskedAt)
	w.OptTime("deadline", s.Deadline)
	w.OptTime("customer_at", s.CustomerAt)
	w.OptInt("misses", int64(s.Misses))
	w.OptTrue("answered", s.Answered)
	w.OptTrue("disclose", s.Disclose)
	optTimes(w, "hops", s.Hops)
	w.OptInt("episodes", int64(s.Episodes))
	if s.Episode != nil {
		writeEpisode(w, "episode", s.Episode)
	}
	w.End('}')
}

func writeEpisode(w *flatjson.Writer, name string, ep *handover.Episode) {
	w.Begin(name, '{')
	w.Int("n", int64(ep.Number))
	w.String("cause", string(ep.Cause))
	w.OptString("target", ep.Target)
	w.Time("asked", ep.Asked)
	w.OptTime("passed", ep.Passed)
	w.OptTime("first_reply", ep.FirstReply)
	w.OptTime("last_agent", ep.LastAgent)
	w.OptTime("last_customer", ep.LastCustomer)
	w.OptTime("solved", ep.Solved)
	w.OptInt("reopened", int64(ep.Reopened))
	w.OptTime("closed", ep.Closed)
	w.OptString("ended", string(ep.Ended))
	w.End('}')
}

// encoded returns the stored form of a call.
func (f *effect) encoded() ([]byte, error) {
	w := flatjson.NewWriter()
	w.Begin("", '{')
	w.String("id", f.ID)
	w.String("thread", f.Thread)
	w.String("chain", f.Chain)
	w.Int("order", f.Order)
	w.OptUint("gen", f.Gen)
	w.String("call", string(f.Call))
	if f.Message != nil {
		writeMessage(w, "message", f.Message)
	}
	w.OptString("text", string(f.Text))
	w.OptString("target", string(f.Target))
	w.OptString("cause", string(f.Cause))
	w.Time("at", f.At)
	w.OptTime("accepted", f.Accepted)
	w.OptInt("attempts", int64(f.Attempts))
	w.OptTime("not_before", f.NotBefore)
	w.OptTrue("unsure", f.Unsure)
	w.OptTrue("echoed", f.Echoed)
	w.OptString("trace", f.Trace)
	w.End('}')
	return w.Bytes()
}

func writeMessage(w *flatjson.Writer, name string, m *graph.Message) {
	w.Begin(name, '{')
	w.OptString("text", m.Text)
	writeQuickReplies(w, "quick_replies", m.QuickReplies)
	optAny(w, "buttons", len(m.Buttons) > 0, m.Buttons)
	optAny(w, "cards", len(m.Cards) > 0, m.Cards)
	optAny(w, "media", m.Media != nil, m.Media)
	w.OptString("metadata", m.Metadata)
	w.OptString("type", string(m.Type))
	w.OptString("tag", string(m.Tag))
	w.OptString("persona", m.Persona)
	w.OptString("reply_to", string(m.ReplyTo))
	w.OptString("notification", string(m.Notification))
	optAny(w, "control", m.Control != nil, m.Control)
	w.End('}')
}

func writeQuickReplies(w *flatjson.Writer, name string, replies []graph.QuickReply) {
	if len(replies) == 0 {
		return
	}
	w.Begin(name, '[')
	for i := range replies {
		w.Begin("", '{')
		w.OptString("title", replies[i].Title)
		w.OptString("payload", replies[i].Payload)
		w.OptString("image_url", replies[i].ImageURL)
		w.End('}')
	}
	w.End(']')
}

// marshal returns the stored form of a line.
func (s *storedLine) marshal() ([]byte, error) {
	w := flatjson.NewWriter()
	w.Begin("", '{')
	w.Int("t", s.At)
	w.String("w", s.What)
	w.OptString("i", s.ID)
	optPhase(w, "f", s.From)
	optPhase(w, "g", s.To)
	w.OptTrue("m", s.Moved)
	w.OptString("c", string(s.Cause))
	w.OptTrue("s", s.Standby)
	w.OptStrings("e", s.Effects)
	w.OptStrings("n", s.Notes)
	w.OptString("l", s.Alarm)
	w.OptString("k", s.Call)
	w.OptString("o", s.Outcome)
	w.OptString("x", s.Error)
	w.OptInt("a", int64(s.Attempt))
	w.OptString("d", s.Sent)
	w.End('}')
	return w.Bytes()
}

func optPhase(w *flatjson.Writer, name string, p handover.Phase) {
	if p != handover.Bot {
		w.String(name, p.String())
	}
}

func optTimes(w *flatjson.Writer, name string, times []time.Time) {
	if len(times) == 0 {
		return
	}
	w.Begin(name, '[')
	for _, t := range times {
		w.Time("", t)
	}
	w.End(']')
}

// optAny leaves to encoding/json what few messages have.
func optAny(w *flatjson.Writer, name string, there bool, v any) {
	if there {
		w.Any(name, v)
	}
}

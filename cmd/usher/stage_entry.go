package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"usher/cmd/usher/page"
	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/simulator"
)

// What happens, as entries of the time line.

// The kinds of entries.
const (
	kindAct      = "act"
	kindWebhook  = "webhook"
	kindDecision = "decision"
	kindCall     = "call"
	kindWorld    = "world"
)

// The tones of entries.
const (
	toneGood = "good"
	toneWarn = "warn"
	toneBad  = "bad"
)

// ledgerEntry returns what a line of Meta's ledger is on the time line; ok is false for
// what concerns other apps. names are the customers'.
func ledgerEntry(e simulator.Entry, names func(messenger.PSID) string) (out page.Entry, ok bool) {
	switch {
	case e.Act != nil:
		out = actEntry(*e.Act, names)
	case e.Delivery != nil && e.Delivery.App == stageApp:
		out = webhookEntry(*e.Delivery)
	case e.Call != nil && byUs(*e.Call):
		out = callEntry(*e.Call)
	default:
		return out, false
	}
	out.At = e.At
	return out, true
}

// byUs tells whether Usher made a call. One that failed before Meta read its token
// is nobody's; here nobody else calls.
func byUs(c simulator.Call) bool { return c.App == stageApp || c.App == "" }

func actEntry(a simulator.Act, names func(messenger.PSID) string) page.Entry {
	who := a.Who
	switch who {
	case "customer":
		who = names(a.PSID)
	case "agent":
		who = "The agent"
	case "meta":
		who = "Meta"
	}
	what := a.What
	switch a.What {
	case "says", "replies":
		what = "writes"
	case "taps quick reply":
		what = "taps"
	case "done":
		what = "clicks Done"
	}
	title := who + " " + what
	if a.Text != "" {
		title += " “" + cut(a.Text, 80) + "”"
	}
	return page.Entry{PSID: a.PSID, Kind: kindAct, Title: title}
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func webhookEntry(d simulator.Delivery) page.Entry {
	var told []string
	for _, t := range d.Events {
		told = append(told, fmt.Sprintf("%s on %s", t.Kind, t.Channel))
	}
	e := page.Entry{Kind: kindWebhook, Title: strings.Join(told, ", "), JSON: d.Body}
	if len(d.Events) > 0 {
		e.PSID = d.Events[0].PSID
	}
	if d.Attempt > 1 {
		e.Title += fmt.Sprintf(", attempt %d", d.Attempt)
	}
	switch d.Status {
	case http.StatusOK:
		e.Title += " → 200"
	case 0:
		e.Title, e.Tone = e.Title+" → no answer", toneBad
	default:
		e.Title, e.Tone = fmt.Sprintf("%s → %d", e.Title, d.Status), toneBad
	}
	return e
}

func callEntry(c simulator.Call) page.Entry {
	e := page.Entry{PSID: c.PSID, Kind: kindCall, Title: describe(c)}
	if !c.OK() || c.AnswerLost {
		e.Tone = toneBad
	}
	e.JSON = asJSON(struct {
		Request json.RawMessage `json:"request,omitempty"`
		Status  int             `json:"status"`
		Answer  json.RawMessage `json:"answer,omitempty"`
	}{c.Request, c.Status, c.Answer})
	return e
}

// asJSON writes what people may unfold; nil where it cannot be written.
func asJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

// lineEntry returns what a line of history is on the time line; ok is false for a
// call that went as it should: it has an entry already.
func lineEntry(l engine.Line) (e page.Entry, ok bool) {
	if l.Call != "" && l.Outcome == "ok" && !l.Moved && l.Alarm == "" && len(l.Effects)+len(l.Notes) == 0 {
		return e, false
	}
	e = page.Entry{At: l.At, Kind: kindDecision, Cause: string(l.Cause), JSON: asJSON(l), Title: lineTitle(l)}
	if key, err := messenger.ParseThreadKey(l.Thread); err == nil {
		e.PSID = key.PSID
	}
	switch {
	case l.Alarm != "", l.What == "buried":
		e.Tone = toneBad
	case l.Moved && l.To == handover.Bot:
		e.Tone = toneGood
	case l.Moved, l.Error != "":
		e.Tone = toneWarn
	}
	return e, true
}

// lineTitle says in plain words what a line of history tells.
func lineTitle(l engine.Line) string {
	what := l.What
	switch {
	case l.Call != "":
		what = effectWords(l.Call)
	case l.What == "timer":
		what = "time is up"
	case l.What == "buried":
		what = "set aside: " + l.Error
	case l.Standby:
		what += " on standby"
	}
	var parts []string
	if l.Outcome != "" && l.Outcome != "ok" {
		parts = append(parts, l.Outcome)
	}
	if l.Moved {
		parts = append(parts, fmt.Sprintf("from %s to %s", l.From, l.To))
	}
	for _, f := range l.Effects {
		parts = append(parts, effectWords(f))
	}
	parts = append(parts, l.Notes...)
	if l.Alarm != "" {
		parts = append(parts, "alarm: "+strings.ReplaceAll(l.Alarm, "_", " "))
	}
	if len(parts) == 0 {
		return what
	}
	return what + ": " + strings.Join(parts, "; ")
}

// effectWords says in plain words what an effect, as history names it, does.
func effectWords(f string) string {
	f = strings.ReplaceAll(f, string(messenger.PageInbox), "the Page Inbox")
	for _, w := range [][2]string{
		{"say_and_pass handoff", "say so and pass control"},
		{"say_and_pass reopened", "welcome back and pass control"},
		{"pass", "pass control"},
		{"say back", "say that the bot is back"},
		{"say failed", "say that nobody could be reached"},
		{"take", "take control"},
		{"release", "release control"},
		{"read_owner", "ask Meta who has control"},
		{"read_profile", "ask Meta for the profile"},
	} {
		if rest, ok := strings.CutPrefix(f, w[0]); ok {
			return w[1] + rest
		}
	}
	return f
}

package scene

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"usher/messenger"
	"usher/messenger/simulator"
)

// names are what apps and customers are called in a scene.
type names struct {
	apps      map[string]messenger.AppID
	order     []string // of the apps that hear webhooks
	customers map[string]messenger.PSID
	several   bool   // customers: each line tells whose it is
	source    string // of the scene: what it does not mention is not told
	page      string
}

func (n *names) app(name string) messenger.AppID {
	if id, ok := n.apps[name]; ok {
		return id
	}
	return messenger.AppID(name) // digits: an app that is nobody's
}

// of returns what an app is called.
func (n *names) of(id messenger.AppID) string {
	for name, app := range n.apps {
		if app == id {
			return name
		}
	}
	if id == "" {
		return "nobody"
	}
	return string(id)
}

// whose returns " (ann)" where the scene has several customers.
func (n *names) whose(psid messenger.PSID) string {
	if len(n.customers) < 2 && !n.several || psid == "" {
		return ""
	}
	return " (" + n.customer(psid) + ")"
}

// customer returns what a customer is called.
func (n *names) customer(psid messenger.PSID) string {
	for name, id := range n.customers {
		if id == psid {
			return name
		}
	}
	return string(psid)
}

// teller reads what happened at a Page in its ledger, and tells it.
type teller struct {
	meta   *simulator.Meta
	names  *names
	clock  func(time.Time) string    // writes a time
	seen   int64                     // the ledger up to here has been told
	owners map[messenger.PSID]string // who has control, as last told
}

// read returns what has happened since the last line.
func (w *teller) read() (all []simulator.Entry, seq int64) {
	seq = w.seen
	for {
		entries, last := w.meta.Since(seq)
		if seq = last; len(entries) == 0 {
			return all, seq
		}
		all = append(all, entries...)
	}
}

const idle = "idle"

// controlNow returns who has control of each thread now, and until when, where
// that is news.
func (w *teller) controlNow() map[messenger.PSID]string {
	news := map[messenger.PSID]string{}
	for psid, before := range w.owners {
		now := idle
		if app, until := w.meta.Owner(psid); app != "" {
			now = fmt.Sprintf("%s until %s", w.names.of(app), w.clock(until))
		}
		if now != before {
			news[psid] = now
		}
	}
	return news
}

// control tells the news of controlNow.
func (w *teller) control() (told []string) {
	news := w.controlNow()
	maps.Copy(w.owners, news)
	for psid, now := range news {
		told = append(told, fmt.Sprintf("%s's thread: %s", w.names.customer(psid), now))
	}
	slices.Sort(told)
	return told
}

// told is something to be told, and what orders it: what caused it, then calls
// before deliveries, then who hears of it.
type told struct {
	cause int64
	hears int
	text  string
}

// tell describes entries of the ledger, each delivery after what caused it. Calls
// of by, who acts in this line, are not told: the line itself says them.
func (w *teller) tell(entries []simulator.Entry, by string) []string {
	var all []told
	for _, e := range entries {
		switch {
		case e.Call != nil && w.names.apps[by] != "" && (w.names.apps[by] == e.Call.App || e.Call.App == ""):
			// The line itself says it; an app whose token is dead is nobody.
		case e.Call != nil:
			all = append(all, told{cause: e.Seq, text: w.names.call(*e.Call)})
		case e.Act != nil && e.Act.Who == meta:
			all = append(all, told{cause: e.Seq, text: w.names.rename("meta " + e.Act.What)})
		case e.Delivery != nil:
			hears := slices.Index(w.names.order, w.names.of(e.Delivery.App))
			if hears < 0 {
				continue // an app of another scene
			}
			for i, text := range w.names.delivery(e) {
				all = append(all, told{cause: e.Delivery.Events[i].Cause, hears: hears + 1, text: text})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b told) int {
		return cmp.Or(cmp.Compare(a.cause, b.cause), cmp.Compare(a.hears, b.hears))
	})
	var lines []string
	for _, t := range all {
		lines = append(lines, t.text)
	}
	return lines
}

// rename replaces ids by names.
func (n *names) rename(text string) string {
	for name, id := range n.apps {
		text = strings.ReplaceAll(text, string(id), name)
	}
	for name, id := range n.customers {
		text = strings.ReplaceAll(text, string(id), name)
	}
	return text
}

func refusal(code, subcode int, text string) string {
	text, _, _ = strings.Cut(text, " The current time is ") // it is not the same each time
	if subcode == 0 {
		return fmt.Sprintf("%d: %s", code, text)
	}
	return fmt.Sprintf("%d/%d: %s", code, subcode, text)
}

// call describes a call of a bot, in the words in which a script would make it.
func (n *names) call(c simulator.Call) string {
	verbs := map[string]string{
		simulator.EdgePass: "passes", simulator.EdgeTake: "takes", simulator.EdgeRequest: "requests",
		simulator.EdgeRelease: "releases", simulator.EdgeExtend: "extends", simulator.EdgeOwner: "asks_owner",
	}
	parts := []string{n.of(c.App)}
	switch verb := verbs[c.Edge]; {
	case c.Edge == simulator.EdgeMessages && c.Action != "":
		parts = append(parts, "signals", c.Action)
	case c.Edge == simulator.EdgeMessages:
		parts = append(parts, "sends")
		parts = append(parts, said(c)...)
		if c.Control != "" {
			parts = append(parts, "control="+n.rename(strings.Replace(c.Control, " ", " app=", 1)))
		}
	case verb != "":
		parts = append(parts, verb)
		if c.Target != "" {
			parts = append(parts, "app="+n.of(c.Target))
		}
	default:
		parts = append(parts, "calls", c.Method, c.Edge)
	}
	text := strings.Join(parts, " ") + n.whose(c.PSID)
	switch {
	case c.Status == 0:
		return text + ": the connection was cut"
	case !c.OK():
		return text + ": refused " + refusal(c.Code, c.Subcode, c.Error)
	case c.AnswerLost:
		return text + ": the answer was lost"
	}
	return text
}

// said writes what a send says: text, medium, cards, buttons and quick replies.
func said(c simulator.Call) (parts []string) {
	if c.Text != "" {
		parts = append(parts, fmt.Sprintf("%q", c.Text))
	}
	if c.Attachment != "" {
		parts = append(parts, c.Attachment)
	}
	for _, list := range []struct {
		name   string
		titles []string
	}{{"cards", c.Cards}, {"buttons", c.Buttons}, {"quick_replies", c.QuickReplies}} {
		if len(list.titles) > 0 {
			parts = append(parts, fmt.Sprintf("%s=%q", list.name, strings.Join(list.titles, "|")))
		}
	}
	return parts
}

// ownerAnswer describes an answer of thread_owner.
func (w *teller) ownerAnswer(raw json.RawMessage) string {
	var answer struct {
		Data []struct {
			Owner struct {
				App        messenger.AppID `json:"app_id"`
				Expiration int64           `json:"expiration"`
			} `json:"thread_owner"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || len(answer.Data) > 1 {
		return string(raw)
	}
	if len(answer.Data) == 0 {
		return idle
	}
	owner := answer.Data[0].Owner
	until := "until " + w.clock(unix(owner.Expiration))
	if owner.App == "" {
		return until
	}
	return w.names.of(owner.App) + " " + until
}

// delivery describes each event of an attempt to deliver, as the body has it.
func (n *names) delivery(e simulator.Entry) []string {
	d := e.Delivery
	events := bodyEvents(d.Body)
	ending := ""
	if d.Attempt > 1 {
		ending = fmt.Sprintf(", attempt %d", d.Attempt)
	}
	switch d.Status {
	case http.StatusOK:
	case 0:
		ending += " → no answer"
	default:
		ending += fmt.Sprintf(" → %d", d.Status)
	}
	lines := make([]string, len(d.Events))
	for i, t := range d.Events {
		what := string(t.Kind)
		if i < len(events) {
			what = n.event(events[i], t, e.At.UnixMilli())
			if events[i].channel != t.Channel {
				what += fmt.Sprintf(" (the body has it in %s)", events[i].channel)
			}
		}
		lines[i] = fmt.Sprintf("to %s, %s: %s%s%s", n.of(d.App), t.Channel, what, n.whose(t.PSID), ending)
	}
	return lines
}

package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usher/messenger"
)

// Deed is something that a customer, an agent or an app does, in the words of the
// control API and of scenes. [Verbs] tells what each can do, and which fields
// that needs and takes.
type Deed struct {
	Does string `json:"does"`
	// Text is what is said, the title that is tapped, the medium that is sent, the
	// reaction, the sender action, the verdict (good, bad) or the measure (warning,
	// block, unblock).
	Text string `json:"text,omitempty"`
	// Message is the message that is edited or quoted. Empty is her newest text, or
	// the Page's newest line.
	Message messenger.MessageID `json:"message,omitempty"`
	// Customer is whom an agent's or an app's deed concerns.
	Customer messenger.PSID `json:"customer,omitempty"`
	// App is whom control is passed to, or the receiving app of an ad. Empty is the
	// default app, or none.
	App messenger.AppID `json:"app,omitempty"`
	// Metadata comes with a message or a change of control.
	Metadata string `json:"metadata,omitempty"`
	// QuickReplies and Buttons are the titles of what comes with a message. Their
	// payloads are their titles.
	QuickReplies []string `json:"quick_replies,omitempty"`
	Buttons      []string `json:"buttons,omitempty"`
	// Control is the inline thread_control of a message: pass or release.
	Control string `json:"control,omitempty"`
	// Tag is a message tag: HUMAN_AGENT.
	Tag string `json:"tag,omitempty"`
	// For is how long control is extended: 48h.
	For string `json:"for,omitempty"`
	// Ref is that of an m.me link, an ad or a plugin; Ad an ad's id, Days how long
	// it gives control.
	Ref  string `json:"ref,omitempty"`
	Ad   string `json:"ad,omitempty"`
	Days int    `json:"days,omitempty"`
	// Questions are those of a lead ad; Summary tells its app the answers.
	Questions []string `json:"questions,omitempty"`
	Summary   bool     `json:"summary,omitempty"`
	// Topic and Payload are those of an opt-in, Code that of an account, Reason that
	// of a measure.
	Topic   string `json:"topic,omitempty"`
	Payload string `json:"payload,omitempty"`
	Code    string `json:"code,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Comment stands beside the score of a feedback form.
	Comment string `json:"comment,omitempty"`
	// Method, Path and Body are a Graph call: POST me/messages {…}.
	Method string          `json:"method,omitempty"`
	Path   string          `json:"path,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// Outcome is what a deed led to at once.
type Outcome struct {
	// MID is the message that it wrote or sent.
	MID messenger.MessageID `json:"mid,omitempty"`
	// Answer is what Graph answered an app. A call that is refused is an error.
	Answer json.RawMessage `json:"answer,omitempty"`
}

// Verb is something that can be done. Needs and Takes are the fields of a [Deed]
// that it must and may have besides does.
type Verb struct {
	Does  string
	Needs []string
	Takes []string
}

// verb carries out a deed of a W: a customer, an agent or an app.
type verb[W any] struct {
	needs, takes string // separated by spaces
	do           func(W, Deed) (Outcome, error)
}

// ErrDeed reports a deed that says nothing that can be done.
var ErrDeed = errors.New("nothing that can be done")

// do looks the verb up, and refuses fields that mean nothing to it.
func do[W any](who string, w W, verbs map[string]verb[W], d Deed) (Outcome, error) {
	v, ok := verbs[d.Does]
	if !ok {
		return Outcome{}, fmt.Errorf("%s cannot %q: %w: there are %s", who, d.Does, ErrDeed, strings.Join(slices.Sorted(maps.Keys(verbs)), ", "))
	}
	given := fieldsOf(d)
	delete(given, "does")
	needs, takes := strings.Fields(v.needs), strings.Fields(v.takes)
	for _, name := range needs {
		if given[name] == nil {
			return Outcome{}, fmt.Errorf("%s %s: %w: it needs %s", who, d.Does, ErrDeed, name)
		}
	}
	may := slices.Concat(needs, takes)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(may, name) {
			return Outcome{}, fmt.Errorf("%s %s: %w: %s means nothing to it; it takes %s",
				who, d.Does, ErrDeed, name, or(strings.Join(may, ", "), "nothing more"))
		}
	}
	return v.do(w, d)
}

// Verbs returns what customer, agent, app, ai and meta can do, each sorted.
func Verbs() map[string][]Verb {
	return map[string][]Verb{
		"customer": listed(customerVerbs()), "agent": listed(agentVerbs()), "app": listed(appVerbs()),
		"ai": listed(aiVerbs()), "meta": listed(metaVerbs()),
	}
}

func listed[W any](verbs map[string]verb[W]) []Verb {
	var list []Verb
	for _, name := range slices.Sorted(maps.Keys(verbs)) {
		list = append(list, Verb{Does: name, Needs: strings.Fields(verbs[name].needs), Takes: strings.Fields(verbs[name].takes)})
	}
	return list
}

// Do carries out a deed.
func (c *Customer) Do(d Deed) (Outcome, error) { return do("customer", c, customerVerbs(), d) }

// Do carries out a deed.
func (a *Agent) Do(d Deed) (Outcome, error) { return do("agent", a, agentVerbs(), d) }

// Do carries out a deed, as a Graph call like any other. One that Meta refuses
// returns a [*GraphError].
func (o *OtherApp) Do(d Deed) (Outcome, error) { return do("app", o, appVerbs(), d) }

// Do carries out a deed.
func (ai *AI) Do(d Deed) (Outcome, error) { return do("ai", ai, aiVerbs(), d) }

// Do carries out a deed of Meta itself.
func (m *Meta) Do(d Deed) (Outcome, error) { return do("meta", m, metaVerbs(), d) }

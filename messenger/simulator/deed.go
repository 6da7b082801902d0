package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"usher/messenger"
)

// Deed is something that a customer, an agent or an app does, in the words of the
// control API and of scenes. [Verbs] tells what each can do, and which fields
// that needs and takes.
type Deed struct {
	Does string `json:"does"`
	// Text is what is said, the title that is tapped, the medium that is sent, the
	// reaction or the sender action.
	Text string `json:"text,omitempty"`
	// Customer is whom an agent's or an app's deed concerns.
	Customer messenger.PSID `json:"customer,omitempty"`
	// App is whom control is passed to. Empty is the default app.
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

// Verbs returns what customers, agents and apps can do, sorted.
func Verbs() (customer, agent, app []Verb) {
	return listed(customerVerbs()), listed(agentVerbs()), listed(appVerbs())
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

// wrote makes the outcome of what writes a message.
func wrote(mid messenger.MessageID, err error) (Outcome, error) { return Outcome{MID: mid}, err }

func customerVerbs() map[string]verb[*Customer] {
	type c = *Customer
	return map[string]verb[c]{
		"says":             {needs: "text", do: func(c c, d Deed) (Outcome, error) { return wrote(c.Says(d.Text)) }},
		"sends":            {needs: "text", do: func(c c, d Deed) (Outcome, error) { return wrote(c.Sends(d.Text)) }},
		"taps":             {needs: "text", do: func(c c, d Deed) (Outcome, error) { return wrote(c.Taps(d.Text)) }},
		"taps_quick_reply": {needs: "text", do: func(c c, d Deed) (Outcome, error) { return wrote(c.TapsQuickReply(d.Text)) }},
		"taps_button":      {needs: "text", do: func(c c, d Deed) (Outcome, error) { return wrote(c.TapsButton(d.Text)) }},
		"taps_menu":        {needs: "text", do: func(c c, d Deed) (Outcome, error) { return wrote(c.TapsMenu(d.Text)) }},
		"starts":           {do: func(c c, _ Deed) (Outcome, error) { return wrote(c.Starts()) }},
		"reacts":           {needs: "text", do: func(c c, d Deed) (Outcome, error) { return Outcome{}, c.Reacts(d.Text) }},
		"reads":            {do: func(c c, _ Deed) (Outcome, error) { return Outcome{}, c.Reads() }},
		"blocks":           {do: func(c c, _ Deed) (Outcome, error) { c.Blocks(true); return Outcome{}, nil }},
		"unblocks":         {do: func(c c, _ Deed) (Outcome, error) { c.Blocks(false); return Outcome{}, nil }},
	}
}

// Taps taps a quick reply of that title, or else a button, or else an item of the
// menu.
func (c *Customer) Taps(title string) (mid messenger.MessageID, err error) {
	for _, tap := range []func(string) (messenger.MessageID, error){c.TapsQuickReply, c.TapsButton, c.TapsMenu} {
		if mid, err = tap(title); !errors.Is(err, ErrNotThere) {
			return mid, err
		}
	}
	return "", fmt.Errorf("tap %q: %w", title, ErrNotThere)
}

func agentVerbs() map[string]verb[*Agent] {
	type a = *Agent
	return map[string]verb[a]{
		"replies":       {needs: "customer text", do: func(a a, d Deed) (Outcome, error) { return wrote(a.Replies(d.Customer, d.Text)) }},
		"moves_to_main": {needs: "customer", do: func(a a, d Deed) (Outcome, error) { return Outcome{}, a.MovesToMain(d.Customer) }},
		"done":          {needs: "customer", do: func(a a, d Deed) (Outcome, error) { return Outcome{}, a.Done(d.Customer) }},
	}
}

func appVerbs() map[string]verb[*OtherApp] {
	type o = *OtherApp
	control := func(edge string, fill func(Deed, map[string]any) error) func(o, Deed) (Outcome, error) {
		return func(o o, d Deed) (Outcome, error) {
			body := map[string]any{"recipient": map[string]any{"id": d.Customer}}
			if d.Metadata != "" {
				body["metadata"] = d.Metadata
			}
			if err := fill(d, body); err != nil {
				return Outcome{}, err
			}
			return o.graph("POST", "me/"+edge, mustMarshal(body))
		}
	}
	plain := func(Deed, map[string]any) error { return nil }
	return map[string]verb[o]{
		"sends": {
			needs: "customer text", takes: "quick_replies buttons metadata control app tag",
			do: func(o o, d Deed) (Outcome, error) { return o.graph("POST", "me/"+EdgeMessages, mustMarshal(d.send())) },
		},
		"signals": {needs: "customer text", do: control(EdgeMessages, func(d Deed, body map[string]any) error {
			body["sender_action"] = d.Text
			return nil
		})},
		"passes": {needs: "customer", takes: "app metadata", do: control(EdgePass, func(d Deed, body map[string]any) error {
			if d.App != "" {
				body["target_app_id"] = d.App
			}
			return nil
		})},
		"takes":    {needs: "customer", takes: "metadata", do: control(EdgeTake, plain)},
		"requests": {needs: "customer", takes: "metadata", do: control(EdgeRequest, plain)},
		"releases": {needs: "customer", do: control(EdgeRelease, plain)},
		"extends": {needs: "customer for", do: control(EdgeExtend, func(d Deed, body map[string]any) error {
			span, err := time.ParseDuration(d.For)
			if err != nil {
				return fmt.Errorf("app extends: %w: for: %w", ErrDeed, err)
			}
			body["duration"] = int(span.Seconds())
			return nil
		})},
		"asks_owner": {needs: "customer", do: func(o o, d Deed) (Outcome, error) {
			return o.graph("GET", "me/"+EdgeOwner+"?recipient="+string(d.Customer), nil)
		}},
		"calls": {needs: "method path", takes: "body", do: func(o o, d Deed) (Outcome, error) {
			return o.graph(d.Method, d.Path, d.Body)
		}},
	}
}

// send is the body of the call that says what d says.
func (d Deed) send() map[string]any {
	msg := map[string]any{"text": d.Text}
	if len(d.Buttons) > 0 {
		var list []map[string]string
		for _, title := range d.Buttons {
			list = append(list, map[string]string{"type": "postback", "title": title, "payload": title})
		}
		msg = map[string]any{"attachment": map[string]any{"type": "template", "payload": map[string]any{
			"template_type": "button", "text": d.Text, "buttons": list,
		}}}
	}
	var chips []map[string]string
	for _, title := range d.QuickReplies {
		chips = append(chips, map[string]string{"content_type": "text", "title": title, "payload": title})
	}
	if len(chips) > 0 {
		msg["quick_replies"] = chips
	}
	if d.Metadata != "" {
		msg["metadata"] = d.Metadata
	}
	body := map[string]any{"recipient": map[string]any{"id": d.Customer}, "messaging_type": "RESPONSE", "message": msg}
	if d.Tag != "" {
		body["messaging_type"], body["tag"] = "MESSAGE_TAG", d.Tag
	}
	if d.Control != "" || d.App != "" {
		control := map[string]any{}
		if d.Control != "" {
			control["control_type"] = d.Control
		}
		if d.App != "" {
			control["app_id"] = d.App
		}
		body["thread_control"] = control
	}
	return body
}

package simulator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher/messenger"
)

// wrote makes the outcome of what writes a message.
func wrote(mid messenger.MessageID, err error) (Outcome, error) { return Outcome{MID: mid}, err }

func customerVerbs() map[string]verb[*Customer] {
	type c = *Customer
	done := func(do func(c, Deed) error) func(c, Deed) (Outcome, error) {
		return func(c c, d Deed) (Outcome, error) { return Outcome{}, do(c, d) }
	}
	verbs := map[string]verb[c]{
		"says":     {needs: "text", do: func(c c, d Deed) (Outcome, error) { return wrote(c.Says(d.Text)) }},
		"sends":    {needs: "text", do: func(c c, d Deed) (Outcome, error) { return wrote(c.Sends(strings.Split(d.Text, ",")...)) }},
		"replies":  {needs: "text", takes: "message", do: func(c c, d Deed) (Outcome, error) { return wrote(c.RepliesTo(c.which(d, FromPage), d.Text)) }},
		"edits":    {needs: "text", takes: "message", do: done(func(c c, d Deed) error { return c.Edits(c.which(d, FromCustomer), d.Text) })},
		"starts":   {do: func(c c, _ Deed) (Outcome, error) { return wrote(c.Starts()) }},
		"reacts":   {needs: "text", do: done(func(c c, d Deed) error { return c.Reacts(d.Text) })},
		"unreacts": {do: done(func(c c, _ Deed) error { return c.Unreacts() })},
		"reads":    {do: done(func(c c, _ Deed) error { return c.Reads() })},
		"blocks":   {do: done(func(c c, _ Deed) error { c.Blocks(true); return nil })},
		"unblocks": {do: done(func(c c, _ Deed) error { c.Blocks(false); return nil })},

		"enters": {needs: "ref", do: done(func(c c, d Deed) error { c.Enters(d.Ref); return nil })},
		"comes_from_ad": {needs: "ad", takes: "ref text app days", do: done(func(c c, d Deed) error {
			c.ComesFromAd(Ad{ID: d.Ad, Ref: d.Ref, Title: d.Text, App: d.App, Days: d.Days})
			return nil
		})},
		"opens_lead_form": {needs: "ad questions", takes: "app days summary", do: done(func(c c, d Deed) error {
			return c.OpensLeadForm(LeadAd{ID: d.Ad, Questions: d.Questions, App: d.App, Days: d.Days, Summary: d.Summary})
		})},
		"leaves_lead_form": {do: done(func(c c, _ Deed) error { return c.LeavesLeadForm() })},

		"opts_in": {takes: "ref topic payload", do: done(func(c c, d Deed) error {
			return c.OptsIn(OptIn{Ref: d.Ref, Topic: d.Topic, Payload: d.Payload})
		})},
		"links_account":   {needs: "code", do: done(func(c c, d Deed) error { c.LinksAccount(d.Code); return nil })},
		"unlinks_account": {do: done(func(c c, _ Deed) error { c.LinksAccount(""); return nil })},
		"rates":           {needs: "text", takes: "comment", do: done(func(c c, d Deed) error { return c.Rates(d.Text, d.Comment) })},
		"judges": {needs: "text", do: done(func(c c, d Deed) error {
			if d.Text != "good" && d.Text != "bad" {
				return fmt.Errorf("judge %q: %w: good and bad are", d.Text, ErrNotThere)
			}
			return c.Judges(d.Text == "good")
		})},
	}
	for does, tap := range map[string]func(c, string) (messenger.MessageID, error){
		"taps": c.Taps, "taps_quick_reply": c.TapsQuickReply, "taps_button": c.TapsButton, "taps_menu": c.TapsMenu, "taps_ice_breaker": c.TapsIceBreaker,
	} {
		verbs[does] = verb[c]{needs: "text", do: func(c c, d Deed) (Outcome, error) { return wrote(tap(c, d.Text)) }}
	}
	return verbs
}

// which returns the message of a deed, or else the newest text of a side.
func (c *Customer) which(d Deed, side From) messenger.MessageID {
	if d.Message != "" {
		return d.Message
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for _, l := range slices.Backward(c.t.lines) {
		if l.From == side && (l.Text != "" || side == FromPage) {
			return l.MID
		}
	}
	return ""
}

// Taps taps a quick reply of that title, or else a button, an item of the menu,
// or an ice breaker.
func (c *Customer) Taps(title string) (mid messenger.MessageID, err error) {
	for _, tap := range []func(string) (messenger.MessageID, error){c.TapsQuickReply, c.TapsButton, c.TapsMenu, c.TapsIceBreaker} {
		if mid, err = tap(title); !errors.Is(err, ErrNotThere) {
			return mid, err
		}
	}
	return "", fmt.Errorf("tap %q: %w", title, ErrNotThere)
}

func agentVerbs() map[string]verb[*Agent] {
	type a = *Agent
	act := func(do func(a, messenger.PSID) error) verb[a] {
		return verb[a]{needs: "customer", do: func(a a, d Deed) (Outcome, error) { return Outcome{}, do(a, d.Customer) }}
	}
	return map[string]verb[a]{
		"replies":       {needs: "customer text", do: func(a a, d Deed) (Outcome, error) { return wrote(a.Replies(d.Customer, d.Text)) }},
		"sends":         {needs: "customer text", do: func(a a, d Deed) (Outcome, error) { return wrote(a.Sends(d.Customer, d.Text)) }},
		"opens":         act(a.Opens),
		"moves_to_main": act(a.MovesToMain),
		"done":          act(a.Done),
	}
}

func aiVerbs() map[string]verb[*AI] {
	type ai = *AI
	return map[string]verb[ai]{
		"takes":   {needs: "customer", do: func(ai ai, d Deed) (Outcome, error) { return Outcome{}, ai.Takes(d.Customer) }},
		"replies": {needs: "customer text", do: func(ai ai, d Deed) (Outcome, error) { return wrote(ai.Replies(d.Customer, d.Text)) }},
		"notes":   {needs: "customer text", do: func(ai ai, d Deed) (Outcome, error) { return Outcome{}, ai.Notes(d.Customer, d.Text) }},
		"leaves":  {needs: "customer", do: func(ai ai, d Deed) (Outcome, error) { return Outcome{}, ai.Leaves(d.Customer) }},
	}
}

func metaVerbs() map[string]verb[*Meta] {
	type m = *Meta
	return map[string]verb[m]{
		"enforces":      {needs: "text", takes: "reason", do: func(m m, d Deed) (Outcome, error) { return Outcome{}, m.Enforces(d.Text, d.Reason) }},
		"assigns_roles": {do: func(m m, _ Deed) (Outcome, error) { m.AssignsRoles(); return Outcome{}, nil }},
		"routes_link": {needs: "ref", takes: "app", do: func(m m, d Deed) (Outcome, error) {
			m.RouteLink(d.Ref, d.App)
			return Outcome{}, nil
		}},
		"revokes_token": {do: func(m m, _ Deed) (Outcome, error) { m.RevokeToken(); return Outcome{}, nil }},
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

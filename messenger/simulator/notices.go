package simulator

import (
	"fmt"
	"slices"

	"usher/messenger"
)

// What customers agree to, and what Meta lets a Page know.

// OptIn is a consent: of a plugin that names Ref, or to the notification messages
// of a topic, with the Payload of the request.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events/messaging-optins
type OptIn struct{ Ref, Topic, Payload string }

// tokenLasts is how long the token of an opt-in can be used.
const tokenLasts = 365 * day

// OptsIn gives a consent.
func (c *Customer) OptsIn(in OptIn) error {
	if (in.Ref == "") == (in.Topic == "") {
		return fmt.Errorf("opt in: %w: it needs a ref or a topic", ErrNotThere)
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	told := optIn{Ref: in.Ref}
	if in.Topic != "" {
		told = optIn{
			Type: "notification_messages", Title: in.Topic, Payload: in.Payload, Token: c.m.next(""), Timezone: "UTC",
			Expiry: c.m.now().Add(tokenLasts).UnixMilli(), Status: "NOT_REFRESHED",
		}
	}
	c.tellEach("opts in", or(in.Ref, in.Topic), event{kind: messenger.KindOptin, field: fieldOptIns, item: item{OptIn: &told}})
	return nil
}

// LinksAccount links her account at the business by the code that it gave her;
// without one it unlinks it.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events/messaging-account-linking
func (c *Customer) LinksAccount(code string) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	told := linking{Status: "linked", Code: code}
	if code == "" {
		told.Status = "unlinked"
	}
	c.tellEach(told.Status, "", event{kind: messenger.KindAccountLinking, field: fieldLinking, item: item{Linking: &told}})
}

// Judges gives the Page's last message a thumb up or down, as the field
// response_feedback lets her.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events/response-feedback
func (c *Customer) Judges(good bool) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for _, l := range slices.Backward(c.t.lines) {
		if l.From != FromPage {
			continue
		}
		told := judgment{Feedback: "Bad response", MID: l.MID}
		if good {
			told.Feedback = "Good response"
		}
		c.tellEach("judges", told.Feedback, event{kind: messenger.KindFeedback, field: fieldJudgments, mid: l.MID, item: item{Judgment: &told}})
		return nil
	}
	return fmt.Errorf("judge: %w: the Page has said nothing", ErrNotThere)
}

// Enforces lets Meta enforce its policy: warning, block or unblock. A blocked Page
// may not send (code 368).
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events/messaging-policy-enforcement
func (m *Meta) Enforces(action, reason string) error {
	if !slices.Contains([]string{"warning", "block", "unblock"}, action) {
		return fmt.Errorf("enforce %q: %w: warning, block and unblock are", action, ErrNotThere)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if action != "warning" {
		m.restricted = action == "block"
	}
	m.tellPage(event{kind: messenger.KindPolicy, field: fieldPolicy, item: item{Policy: &enforcement{Action: action, Reason: reason}}})
	m.record(Entry{Act: &Act{Who: "meta", What: "enforces " + action, Text: reason}})
	return nil
}

// AssignsRoles tells the apps their roles as the Handover Protocol had them: the
// default app is the primary receiver, others are secondary ones. Conversation
// Routing no longer does it.
func (m *Meta) AssignsRoles() {
	m.mu.Lock()
	defer m.mu.Unlock()
	roles := map[messenger.AppID][]string{}
	for _, a := range m.apps {
		roles[a.id] = []string{"secondary_receiver"}
		if a.id == m.defaultApp {
			roles[a.id] = []string{"primary_receiver"}
		}
	}
	m.tellPage(event{kind: messenger.KindAppRoles, field: fieldHandovers, item: item{Roles: roles}})
	m.record(Entry{Act: &Act{Who: "meta", What: "assigns roles"}})
}

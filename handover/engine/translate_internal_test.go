package engine

import (
	"testing"
	"time"

	"usher/handover"
	"usher/messenger"
)

// What an event of Messenger means for who answers.
func TestTranslate(t *testing.T) {
	t.Parallel()
	const us, crm, bots messenger.AppID = "1517776481860111", "222", "333"
	at := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	id := "usher:" + EffectID("1:2", "e", 0, true)
	tests := map[string]struct {
		event messenger.Event
		want  handover.Event // nil: it concerns nobody's control
	}{
		"text": {
			event: messenger.Event{Kind: messenger.KindMessage, Text: "¡Héllo!", Standby: true},
			want:  handover.CustomerActed{Act: handover.ActText, Text: "hello", Standby: true, At: at},
		},
		"media":       {event: messenger.Event{Kind: messenger.KindMessage}, want: handover.CustomerActed{Act: handover.ActMedia, At: at}},
		"quick_reply": {event: messenger.Event{Kind: messenger.KindQuickReply, Text: "A", Payload: "P"}, want: handover.CustomerActed{Act: handover.ActQuickReply, Text: "a", Payload: "P", At: at}},
		"postback":    {event: messenger.Event{Kind: messenger.KindPostback, Payload: "P"}, want: handover.CustomerActed{Act: handover.ActPostback, Payload: "P", At: at}},
		"referral":    {event: messenger.Event{Kind: messenger.KindReferral, Payload: "R"}, want: handover.CustomerActed{Act: handover.ActReferral, Payload: "R", At: at}},
		"optin":       {event: messenger.Event{Kind: messenger.KindOptin, Payload: "R"}, want: handover.CustomerActed{Act: handover.ActReferral, Payload: "R", At: at}},

		"echo_of_ours":                       {event: messenger.Event{Kind: messenger.KindEcho, App: us}, want: handover.OwnEcho{}},
		"echo_without_app_but_with_effect":   {event: messenger.Event{Kind: messenger.KindEcho, Metadata: id}, want: handover.OwnEcho{}},
		"echo_without_app":                   {event: messenger.Event{Kind: messenger.KindEcho}, want: handover.AgentSpoke{At: at}},
		"echo_of_the_inbox":                  {event: messenger.Event{Kind: messenger.KindEcho, App: messenger.PageInbox}, want: handover.AgentSpoke{At: at}},
		"echo_of_the_inbox_one_digit_short":  {event: messenger.Event{Kind: messenger.KindEcho, App: "26390203743090"}, want: handover.AgentSpoke{At: at}},
		"echo_of_another_app":                {event: messenger.Event{Kind: messenger.KindEcho, App: crm}, want: handover.AgentSpoke{At: at}},
		"echo_of_another_app_with_an_effect": {event: messenger.Event{Kind: messenger.KindEcho, App: crm, Metadata: id}, want: handover.AgentSpoke{At: at}},
		"echo_of_an_ignored_app":             {event: messenger.Event{Kind: messenger.KindEcho, App: bots}},
		"echo_of_metas_automation":           {event: messenger.Event{Kind: messenger.KindEcho, App: messenger.PageInbox, AIGenerated: true}},

		"passed_to_us":      {event: messenger.Event{Kind: messenger.KindPass, NewOwner: us}, want: handover.ControlPassed{ToUs: true, To: string(us), At: at}},
		"passed_to_nobody":  {event: messenger.Event{Kind: messenger.KindPass}, want: handover.ControlPassed{ToUs: true, At: at}},
		"passed_to_another": {event: messenger.Event{Kind: messenger.KindPass, NewOwner: crm}, want: handover.ControlPassed{To: string(crm), At: at}},
		"taken_by_us":       {event: messenger.Event{Kind: messenger.KindTake, NewOwner: us}, want: handover.ControlTaken{ByUs: true, At: at}},
		"taken_by_another":  {event: messenger.Event{Kind: messenger.KindTake, NewOwner: crm}, want: handover.ControlTaken{At: at}},
		"taken_by_nobody":   {event: messenger.Event{Kind: messenger.KindTake}, want: handover.ControlTaken{At: at}},
		"requested":         {event: messenger.Event{Kind: messenger.KindRequest, App: crm}, want: handover.ControlRequested{By: string(crm), At: at}},

		"read":      {event: messenger.Event{Kind: messenger.KindRead}},
		"delivery":  {event: messenger.Event{Kind: messenger.KindDelivery}},
		"reaction":  {event: messenger.Event{Kind: messenger.KindReaction}},
		"edit":      {event: messenger.Event{Kind: messenger.KindEdit, Text: "human"}},
		"app_roles": {event: messenger.Event{Kind: messenger.KindAppRoles}},
		"policy":    {event: messenger.Event{Kind: messenger.KindPolicy}},
		"feedback":  {event: messenger.Event{Kind: messenger.KindFeedback}},
		"linking":   {event: messenger.Event{Kind: messenger.KindAccountLinking}},
		"unknown":   {event: messenger.Event{Kind: messenger.KindUnknown, Field: "order"}},
	}
	e := &Engine{Options: Options{App: us, IgnoreApps: []messenger.AppID{bots, ""}}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.event.At = at
			got, ok := e.translate(tt.event)
			if got != tt.want || ok != (tt.want != nil) {
				t.Errorf("translate() = %#v, %v, want %#v", got, ok, tt.want)
			}
		})
	}
}

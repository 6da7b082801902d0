package simulator_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
	"usher/messenger/webhook"
)

// What each act looks like on the wire, as Meta's pages have it, and what our
// decoder makes of it. Ids of messages and tokens are left out.
func TestShapes(t *testing.T) {
	t.Parallel()
	const (
		who = `"sender":{"id":"7000000000000001"},"recipient":{"id":"1000000000000001"}`
		at  = `,"timestamp":1795255200000`
	)
	type customer = *simulator.Customer
	ok := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		do   func(*testing.T, *world, customer)
		want string
		as   messenger.Event
	}{
		"text": {
			do:   func(_ *testing.T, w *world, _ customer) { w.says("Zoë / 😀") },
			want: `{` + who + at + `,"message":{"mid":"-","text":"Zoë / 😀"}}`,
			as:   messenger.Event{Kind: messenger.KindMessage, Text: "Zoë / 😀"},
		},
		"reply_to_the_page": {
			do: func(t *testing.T, w *world, c customer) {
				t.Helper()
				w.send("hi", "").wantOK(t)
				_, err := c.RepliesTo(w.Transcript(ann)[1].MID, "that one")
				ok(t, err)
			},
			want: `{` + who + at + `,"message":{"mid":"-","text":"that one","reply_to":{"mid":"-","is_self_reply":false}}}`,
			as:   messenger.Event{Kind: messenger.KindMessage, Text: "that one"},
		},
		"reply_to_herself": {
			do: func(t *testing.T, w *world, c customer) {
				t.Helper()
				_, err := c.RepliesTo(w.Transcript(ann)[0].MID, "that one")
				ok(t, err)
			},
			want: `{` + who + at + `,"message":{"mid":"-","text":"that one","reply_to":{"mid":"-","is_self_reply":true}}}`,
			as:   messenger.Event{Kind: messenger.KindMessage, Text: "that one"},
		},
		"media": {
			do: func(t *testing.T, _ *world, c customer) {
				t.Helper()
				_, err := c.Sends("image", "like")
				ok(t, err)
			},
			want: `{` + who + at + `,"message":{"mid":"-","attachments":[{"type":"image","payload":{"url":"https://cdn.invalid/image"}},
				{"type":"sticker","payload":{"sticker_id":369239263222822,"url":"https://cdn.invalid/like"}}]}}`,
			as: messenger.Event{Kind: messenger.KindMessage, Attachments: []string{"image", "sticker"}, Sticker: messenger.LikeSticker},
		},
		"edit": {
			do: func(t *testing.T, w *world, c customer) {
				t.Helper()
				ok(t, c.Edits(w.Transcript(ann)[0].MID, "hi there"))
			},
			want: `{` + who + at + `,"message_edit":{"mid":"-","text":"hi there","num_edit":1}}`,
			as:   messenger.Event{Kind: messenger.KindEdit, Text: "hi there"},
		},
		"reaction": {
			do: func(t *testing.T, w *world, c customer) {
				t.Helper()
				w.send("hi", "").wantOK(t)
				ok(t, c.Reacts("love"))
			},
			want: `{` + who + at + `,"reaction":{"reaction":"love","emoji":"❤","action":"react","mid":"-"}}`,
			as:   messenger.Event{Kind: messenger.KindReaction},
		},
		"reaction_of_no_name": {
			do: func(t *testing.T, w *world, c customer) {
				t.Helper()
				w.send("hi", "").wantOK(t)
				ok(t, c.Reacts("🎉"))
			},
			want: `{` + who + at + `,"reaction":{"reaction":"other","emoji":"🎉","action":"react","mid":"-"}}`,
			as:   messenger.Event{Kind: messenger.KindReaction},
		},
		"reaction_taken_back": {
			do: func(t *testing.T, w *world, c customer) {
				t.Helper()
				w.send("hi", "").wantOK(t)
				ok(t, c.Reacts("love"))
				ok(t, c.Unreacts())
			},
			want: `{` + who + at + `,"reaction":{"action":"unreact","mid":"-"}}`,
			as:   messenger.Event{Kind: messenger.KindReaction},
		},
		"read": {
			do:   func(t *testing.T, _ *world, c customer) { t.Helper(); ok(t, c.Reads()) },
			want: `{` + who + at + `,"read":{"watermark":1795255200000}}`,
			as:   messenger.Event{Kind: messenger.KindRead},
		},
		"delivery": {
			do:   func(t *testing.T, w *world, _ customer) { t.Helper(); w.send("hi", "").wantOK(t) },
			want: `{` + who + `,"delivery":{"mids":["-"],"watermark":1795255200000}}`,
			as:   messenger.Event{Kind: messenger.KindDelivery},
		},
		"link": {
			do:   func(_ *testing.T, _ *world, c customer) { c.Enters("flyer") },
			want: `{` + who + at + `,"referral":{"ref":"flyer","source":"SHORTLINK","type":"OPEN_THREAD"}}`,
			as:   messenger.Event{Kind: messenger.KindReferral, Payload: "flyer"},
		},
		"ad": {
			do: func(_ *testing.T, _ *world, c customer) {
				c.ComesFromAd(simulator.Ad{ID: "604", Ref: "SUMMER", Title: "Sofas"})
			},
			want: `{` + who + at + `,"referral":{"ref":"SUMMER","ad_id":"604","source":"ADS","type":"OPEN_THREAD","ads_context_data":{"ad_title":"Sofas"}}}`,
			as:   messenger.Event{Kind: messenger.KindReferral, Payload: "SUMMER"},
		},
		"message_from_an_ad": {
			do: func(_ *testing.T, w *world, c customer) {
				c.ComesFromAd(simulator.Ad{ID: "604"})
				w.says("still there?")
			},
			want: `{` + who + at + `,"message":{"mid":"-","text":"still there?","referral":{"ad_id":"604","source":"ADS","type":"OPEN_THREAD"}}}`,
			as:   messenger.Event{Kind: messenger.KindMessage, Text: "still there?"},
		},
		"opt_in_of_a_plugin": {
			do: func(t *testing.T, _ *world, c customer) {
				t.Helper()
				ok(t, c.OptsIn(simulator.OptIn{Ref: "checkbox-7"}))
			},
			want: `{` + who + at + `,"optin":{"ref":"checkbox-7"}}`,
			as:   messenger.Event{Kind: messenger.KindOptin, Payload: "checkbox-7"},
		},
		"opt_in_to_notifications": {
			do: func(t *testing.T, _ *world, c customer) {
				t.Helper()
				ok(t, c.OptsIn(simulator.OptIn{Topic: "News", Payload: "NEWS"}))
			},
			want: `{` + who + at + `,"optin":{"type":"notification_messages","title":"News","payload":"NEWS","notification_messages_token":"-",
				"notification_messages_timezone":"UTC","token_expiry_timestamp":1826791200000,"user_token_status":"NOT_REFRESHED"}}`,
			as: messenger.Event{Kind: messenger.KindOptin, Payload: "NEWS"},
		},
		"account_linked": {
			do:   func(_ *testing.T, _ *world, c customer) { c.LinksAccount("Z9") },
			want: `{` + who + at + `,"account_linking":{"status":"linked","authorization_code":"Z9"}}`,
			as:   messenger.Event{Kind: messenger.KindAccountLinking},
		},
		"account_unlinked": {
			do:   func(_ *testing.T, _ *world, c customer) { c.LinksAccount("") },
			want: `{` + who + at + `,"account_linking":{"status":"unlinked"}}`,
			as:   messenger.Event{Kind: messenger.KindAccountLinking},
		},
		"good_response": {
			do: func(t *testing.T, w *world, c customer) {
				t.Helper()
				w.send("hi", "").wantOK(t)
				ok(t, c.Judges(true))
			},
			want: `{` + who + at + `,"response_feedback":{"feedback":"Good response","mid":"-"}}`,
			as:   messenger.Event{Kind: messenger.KindFeedback},
		},
		"bad_response": {
			do: func(t *testing.T, w *world, c customer) {
				t.Helper()
				w.send("hi", "").wantOK(t)
				ok(t, c.Judges(false))
			},
			want: `{` + who + at + `,"response_feedback":{"feedback":"Bad response","mid":"-"}}`,
			as:   messenger.Event{Kind: messenger.KindFeedback},
		},
		"policy": {
			do:   func(t *testing.T, w *world, _ customer) { t.Helper(); ok(t, w.Enforces("block", "spam")) },
			want: `{"recipient":{"id":"1000000000000001"}` + at + `,"policy_enforcement":{"action":"block","reason":"spam"}}`,
			as:   messenger.Event{Kind: messenger.KindPolicy},
		},
		"roles": {
			do: func(_ *testing.T, w *world, _ customer) { w.AssignsRoles() },
			want: `{"recipient":{"id":"1000000000000001"}` + at + `,"app_roles":{"1517776481860111":["primary_receiver"],
				"263902037430900":["secondary_receiver"]}}`,
			as: messenger.Event{Kind: messenger.KindAppRoles},
		},
		"notice": {
			do:   func(t *testing.T, w *world, _ customer) { t.Helper(); ok(t, w.AI().Notes(ann, "AI is off.")) },
			want: `{` + who + at + `,"message":{"mid":"-","text":"AI is off.","admin_text":"AI is off."}}`,
			as:   messenger.Event{Kind: messenger.KindUnknown, Field: "admin_text"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, everyField, idsAsStrings)
			w.says("hello")
			tt.do(t, w, w.Customer(ann))
			w.told()
			body := w.ear.last()
			var delivery struct {
				Entry []struct{ Messaging []json.RawMessage }
			}
			if err := json.Unmarshal(body, &delivery); err != nil {
				t.Fatal(err)
			}
			got := regexp.MustCompile(`(m_)?[0-9a-f]{24,}`).ReplaceAll(delivery.Entry[0].Messaging[0], []byte("-"))
			if diff := cmp.Diff(parsed(t, tt.want), parsed(t, string(got))); diff != "" {
				t.Errorf("on the wire (-want +got):\n%s", diff)
			}
			events, err := webhook.Decode(body)
			if err != nil || len(events) != 1 {
				t.Fatalf("decoded: %v, %v, want one event", events, err)
			}
			e := events[0]
			if ofPage := e.Kind == messenger.KindPolicy || e.Kind == messenger.KindAppRoles; ofPage != (e.Thread.PSID == "") {
				t.Errorf("decoded: of %q", e.Thread.PSID)
			}
			e = messenger.Event{Kind: e.Kind, Text: e.Text, Payload: e.Payload, Field: e.Field, Attachments: e.Attachments, Sticker: e.Sticker}
			if diff := cmp.Diff(tt.as, e); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

func parsed(t *testing.T, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	return v
}

package simulator_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

func resellers() simulator.LeadAd {
	return simulator.LeadAd{ID: "604", Questions: []string{"A reseller?", "In which city?"}, App: bot, Summary: true}
}

// While the questions run, apps hear nothing and may not send; then control comes,
// the answers, and the summary.
func TestLeadForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	desk := w.hears(desk)
	c := w.Customer(ann)
	if err := c.FillsLeadForm(resellers(), "Yes"); err != nil {
		t.Fatal(err)
	}
	w.wantOwner(messenger.LeadGen)
	w.send("hi", "").want(t, 400, 2018321, 0)
	w.post("messages", `"sender_action":"typing_on"`).want(t, 400, 2018321, 0)
	if err := c.Reads(); err != nil {
		t.Fatal(err)
	}
	w.wantTold()
	w.says("Oslo")
	w.wantTold(
		`messaging pass lead app to bot "messenger_lead_gen_complete"`,
		"messaging referral  ADS LEAD_COMPLETE",
		`messaging message "Lead summary:\nA reseller?: Yes\nIn which city?: Oslo"`,
	)
	desk("standby referral  ADS LEAD_COMPLETE")
	w.wantOwner(bot)
	var texts []string
	for _, l := range w.Transcript(ann) {
		texts = append(texts, name(l.App)+": "+l.Text)
	}
	wantSame(t, "phone", []string{"lead app: A reseller?", "nobody: Yes", "lead app: In which city?", "nobody: Oslo"}, texts)
	w.send("thanks", "").wantOK(t) // her answers have opened the window
	w.says("bye")
	w.wantTold(`messaging echo of bot "thanks"`, `messaging message "bye"`)
}

// The summary has its own time and context; the referral has the answers.
func TestLeadFormOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idsAsStrings)
	if err := w.Customer(ann).FillsLeadForm(resellers(), "Yes", "Oslo", "too many"); err != nil {
		t.Fatal(err)
	}
	w.told()
	if len(w.ear.bodies) != 3 {
		t.Fatalf("%d deliveries, want pass, referral and summary", len(w.ear.bodies))
	}
	var got struct {
		Entry []struct {
			Hop       any `json:"hop_context"`
			Messaging []struct {
				Timestamp int64
				Hop       any `json:"hop_context"`
				Referral  any
				Lead      any
			}
		}
	}
	if err := json.Unmarshal(w.ear.bodies[1], &got); err != nil {
		t.Fatal(err)
	}
	referral := got.Entry[0].Messaging[0]
	want := parsed(t, `{"data":[{"question":"A reseller?","answer":"Yes"},{"question":"In which city?","answer":"Oslo"}]}`)
	if diff := cmp.Diff(want, referral.Lead); diff != "" {
		t.Errorf("lead (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(parsed(t, `{"ad_id":"604","source":"ADS","type":"LEAD_COMPLETE"}`), referral.Referral); diff != "" {
		t.Errorf("referral (-want +got):\n%s", diff)
	}
	got.Entry = nil
	if err := json.Unmarshal(w.ear.bodies[2], &got); err != nil {
		t.Fatal(err)
	}
	summary := got.Entry[0].Messaging[0]
	if summary.Timestamp != w.clock().Unix() || got.Entry[0].Hop != nil {
		t.Errorf("summary at %d beside %v, want seconds and nothing", summary.Timestamp, got.Entry[0].Hop)
	}
	if diff := cmp.Diff(parsed(t, `{"app_id":"1517776481860111","metadata":"messenger_lead_gen_complete"}`), summary.Hop); diff != "" {
		t.Errorf("hop_context in the summary (-want +got):\n%s", diff)
	}
}

func TestLeadFormEndsOtherwise(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(*simulator.LeadAd)
		end  func(*world) error
		want []string
		to   messenger.AppID
	}{
		"left": {
			end:  func(w *world) error { return w.Customer(ann).LeavesLeadForm() },
			want: []string{`messaging pass lead app to bot "messenger_lead_gen_incomplete"`, "messaging referral  ADS LEAD_INCOMPLETE"}, to: bot,
		},
		"without_summary": {
			edit: func(ad *simulator.LeadAd) { ad.Summary = false }, end: func(w *world) error { w.says("Oslo"); return nil },
			want: []string{`messaging pass lead app to bot "messenger_lead_gen_complete"`, "messaging referral  ADS LEAD_COMPLETE"}, to: bot,
		},
		"to_nobody": {
			edit: func(ad *simulator.LeadAd) { ad.App = "" }, end: func(w *world) error { w.says("Oslo"); return nil },
		},
		"to_another": {
			edit: func(ad *simulator.LeadAd) { ad.App = desk }, end: func(w *world) error { w.says("Oslo"); return nil },
			want: []string{"standby referral  ADS LEAD_COMPLETE"}, to: desk,
		},
		"an_agent_replies": {
			end: func(w *world) error {
				_, err := w.Agent().Replies(ann, "Tom here")
				return err
			},
			want: []string{`standby echo of inbox "Tom here"`}, to: messenger.PageInbox,
		},
		"taken": {
			end: func(w *world) error {
				w.post("take_thread_control", "").wantOK(w.t)
				return nil
			}, to: bot,
		},
		"lapsed": {end: func(w *world) error { w.pass(day); return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ad := resellers()
			if tt.edit != nil {
				tt.edit(&ad)
			}
			c := w.Customer(ann)
			if err := c.FillsLeadForm(ad, "Yes"); err != nil {
				t.Fatal(err)
			}
			if err := tt.end(w); err != nil {
				t.Fatal(err)
			}
			w.wantTold(tt.want...)
			w.wantOwner(tt.to)
			if err := c.LeavesLeadForm(); !errors.Is(err, simulator.ErrNotThere) {
				t.Errorf("leave afterwards = %v, want ErrNotThere", err)
			}
			w.says("hello") // is no answer any more
			if got := w.told(); len(got) != 1 {
				t.Errorf("then the bot was told %q, want her message", got)
			}
		})
	}
}

func TestLeadFormInZeroConfigIsEndedByAnAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, zeroConfig)
	if err := w.Customer(ann).FillsLeadForm(resellers(), "Yes"); err != nil {
		t.Fatal(err)
	}
	agent(t, w, func(a *simulator.Agent) (messenger.MessageID, error) { return a.Replies(ann, "Tom here") })
	w.wantTold(`messaging echo of inbox "Tom here"`)
	w.says("hello")
	w.wantTold(`messaging message "hello"`)
}

func TestLeadFormsDaysAndFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ad := resellers()
	ad.Days = 4
	if err := w.Customer(ann).FillsLeadForm(ad, "Yes", "Oslo"); err != nil {
		t.Fatal(err)
	}
	w.pass(day)
	w.wantOwner(bot)
	w.says("hello")
	if _, until := w.Owner(ann); until.Sub(w.clock()) != 4*day {
		t.Errorf("control lapses in %v, want 4 days", until.Sub(w.clock()))
	}
	if err := w.Customer(ann).OpensLeadForm(simulator.LeadAd{}); err == nil {
		t.Error("a form without questions opens")
	}
	if err := w.Customer(ann).FillsLeadForm(resellers(), ""); err == nil {
		t.Error("an empty answer is given")
	}
}

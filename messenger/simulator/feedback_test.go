package simulator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
	"usher/messenger/webhook"
)

// asks lets the bot send a feedback form, which stays open for two days.
func (w *world) asks(question string) {
	w.t.Helper()
	w.post("messages", `"message":{"attachment":{"type":"template","payload":{"template_type":"customer_feedback","title":"T","subtitle":"S",
		"button_title":"Rate","feedback_screens":[{"questions":[{"id":"q_1",`+question+`}]}],"expires_in_days":2,
		"business_privacy":{"url":"https://example.com/privacy"}}}}`).wantOK(w.t)
	w.told()
}

// fromIdle lets an idle thread's default app ask for feedback.
func fromIdle(o *simulator.Options) { o.Doubts.FeedbackFromIdle = true }

func TestRates(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 400)
	const comment = `"follow_up":{"type":"free_form"}`
	tests := map[string]struct {
		question        string
		answer, comment string
		want            string // the question's answer on the wire; "" is refused
	}{
		"csat":               {`"type":"csat"`, "5", "", `{"type":"csat","payload":"5"}`},
		"csat_lowest":        {`"type":"csat"`, "1", "", `{"type":"csat","payload":"1"}`},
		"csat_too_low":       {`"type":"csat"`, "0", "", ""},
		"csat_too_high":      {`"type":"csat"`, "6", "", ""},
		"nps":                {`"type":"nps"`, "0", "", `{"type":"nps","payload":"0"}`},
		"nps_highest":        {`"type":"nps"`, "10", "", `{"type":"nps","payload":"10"}`},
		"nps_too_high":       {`"type":"nps"`, "11", "", ""},
		"nps_negative":       {`"type":"nps"`, "-1", "", ""},
		"ces":                {`"type":"ces"`, "7", "", `{"type":"ces","payload":"7"}`},
		"ces_too_high":       {`"type":"ces"`, "8", "", ""},
		"ces_too_low":        {`"type":"ces"`, "0", "", ""},
		"no_number":          {`"type":"csat"`, "good", "", ""},
		"number_otherwise":   {`"type":"csat"`, "05", "", ""},
		"comment":            {`"type":"csat",` + comment, "4", "quick", `{"type":"csat","payload":"4","follow_up":{"type":"free_form","payload":"quick"}}`},
		"comment_left_out":   {`"type":"csat",` + comment, "4", "", `{"type":"csat","payload":"4"}`},
		"comment_longest":    {`"type":"csat",` + comment, "4", long, `{"type":"csat","payload":"4","follow_up":{"type":"free_form","payload":"` + long + `"}}`},
		"comment_too_long":   {`"type":"csat",` + comment, "4", long + "x", ""},
		"comment_unasked":    {`"type":"csat"`, "4", "quick", ""},
		"free_form":          {`"type":"free_form","title":"Well?"`, long, "", `{"type":"free_form","payload":"` + long + `"}`},
		"free_form_empty":    {`"type":"free_form","title":"Well?"`, "", "", ""},
		"free_form_too_long": {`"type":"free_form","title":"Well?"`, long + "x", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fromIdle)
			w.says("hello")
			w.asks(tt.question)
			before := w.Transcript(ann)[1].Feedback
			err := w.Customer(ann).Rates(tt.answer, tt.comment)
			if tt.want == "" {
				if !errors.Is(err, simulator.ErrNotThere) {
					t.Errorf("Rates(%q, %q) = %v, want ErrNotThere", tt.answer, tt.comment, err)
				}
				w.wantTold()
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Customer(ann).Rates(tt.answer, ""); !errors.Is(err, simulator.ErrNotThere) {
				t.Errorf("rate again = %v, want ErrNotThere", err)
			}
			if before.Answered || !w.Transcript(ann)[1].Feedback.Answered {
				t.Error("the form is not answered from now on, and only from now on")
			}
			w.told()
			var delivery struct {
				Entry []struct{ Messaging []json.RawMessage }
			}
			if err := json.Unmarshal(w.ear.last(), &delivery); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(`{"sender":{"id":%q},"recipient":{"id":%q},"messaging_feedback":{"feedback_screens":[{"screen_id":0,
				"questions":{"q_1":%s}}]}}`, ann, page, tt.want)
			if diff := cmp.Diff(parsed(t, want), parsed(t, string(delivery.Entry[0].Messaging[0]))); diff != "" {
				t.Errorf("on the wire (-want +got):\n%s", diff)
			}
			if events, err := webhook.Decode(w.ear.last()); err != nil || len(events) != 1 || events[0].Kind != messenger.KindFeedback {
				t.Errorf("decoded: %v, %v, want feedback", events, err)
			}
		})
	}
}

// The newest open form is the one that she fills in; rating opens no window.
func TestRatesTheNewestOpenForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fromIdle)
	c := w.Customer(ann)
	if err := c.Rates("5", ""); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("rate without a form = %v, want ErrNotThere", err)
	}
	w.says("hello")
	w.asks(`"type":"nps"`)
	w.pass(day)
	w.says("still here")
	w.asks(`"type":"csat"`)
	if err := c.Rates("9", ""); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("a score of the older form = %v, want ErrNotThere", err)
	}
	w.pass(day)
	w.send("late", "").want(t, 400, 10, 2018278)
	if err := c.Rates("5", ""); err != nil {
		t.Fatal(err)
	}
	w.send("late", "").want(t, 400, 10, 2018278)
	if err := c.Rates("9", ""); !errors.Is(err, simulator.ErrNotThere) { // the older one has expired
		t.Errorf("rate an expired form = %v, want ErrNotThere", err)
	}
}

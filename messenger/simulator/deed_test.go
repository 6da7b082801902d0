package simulator_test

import (
	"errors"
	"testing"

	"usher/messenger/simulator"
)

// An app's deeds prove themselves as its calls would have to, and are refused as
// they would be.
func TestDeedsAreCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.CheckProof = true })
	w.says("hello")
	us := w.OtherApp(bot)
	out, err := us.Do(simulator.Deed{Does: "sends", Customer: ann, Text: "hi"})
	if err != nil || out.MID == "" {
		t.Errorf("Do = %+v, %v, want a message", out, err)
	}
	_, err = w.OtherApp(desk).Do(simulator.Deed{Does: "sends", Customer: ann, Text: "hi"})
	wantRefused(t, err, 10, 2018300)
	w.FailNext(simulator.EdgeMessages, simulator.Failure{Code: 613, Subcode: 2018338})
	_, err = us.Do(simulator.Deed{Does: "sends", Customer: ann, Text: "hi"})
	wantRefused(t, err, 613, 2018338)
	w.FailNext(simulator.EdgeMessages, simulator.Failure{Status: 500, Body: "<html>"})
	_, err = us.Do(simulator.Deed{Does: "sends", Customer: ann, Text: "hi"})
	wantRefused(t, err, 0, 0)
	w.FailNext(simulator.EdgeMessages, simulator.Failure{Cut: true})
	if _, err := us.Do(simulator.Deed{Does: "sends", Customer: ann, Text: "hi"}); err == nil {
		t.Error("a call that was cut succeeded")
	}
	if _, err := us.Do(simulator.Deed{Does: "sings"}); !errors.Is(err, simulator.ErrDeed) {
		t.Errorf("Do = %v, want ErrDeed", err)
	}
}

// What comes with a message comes with the call.
func TestDeedSends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	_, err := w.OtherApp(bot).Do(simulator.Deed{
		Does: "sends", Customer: ann, Text: "A person?", QuickReplies: []string{"Yes"}, Buttons: []string{"Back"},
		Metadata: "m", Control: "pass", App: desk, Tag: "HUMAN_AGENT",
	})
	if err == nil {
		t.Error("control was passed to an app that is not connected")
	}
	w.OtherApp(desk)
	if _, err := w.OtherApp(bot).Do(simulator.Deed{
		Does: "sends", Customer: ann, Text: "A person?", QuickReplies: []string{"Yes"}, Buttons: []string{"Back"},
		Metadata: "m", Control: "pass", App: desk, Tag: "HUMAN_AGENT",
	}); err != nil {
		t.Fatal(err)
	}
	calls := w.Calls(simulator.EdgeMessages)
	got := calls[len(calls)-1]
	if got.Text != "A person?" || len(got.QuickReplies) != 1 || len(got.Buttons) != 1 || got.Metadata != "m" || got.Control != "pass "+string(desk) || got.Tag != "HUMAN_AGENT" {
		t.Errorf("the call = %+v", got)
	}
	w.wantOwner(desk)
	for _, title := range []string{"Yes", "Back"} {
		if _, err := w.Customer(ann).Do(simulator.Deed{Does: "taps", Text: title}); err != nil {
			t.Error(err)
		}
	}
}

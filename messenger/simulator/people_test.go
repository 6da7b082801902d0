package simulator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

func TestAgentReplyTakesControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.post("take_thread_control", "").wantOK(t)
	w.told()
	if _, err := w.Agent().Replies(ann, "Tom here"); err != nil {
		t.Fatal(err)
	}
	w.wantOwner(messenger.PageInbox)
	w.wantTold(`messaging take bot to inbox ""`, `standby echo of inbox "Tom here"`)
	if _, err := w.Agent().Replies(ann, "more"); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`standby echo of inbox "more"`) // it has control already
	w.says("thanks")
	w.wantTold(`standby message "thanks"`)
}

func TestAgentReplyInAnIdleThreadIsHeardOnStandbyOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.told()
	if _, err := w.Agent().Replies(ann, "Tom here"); err != nil {
		t.Fatal(err)
	}
	w.wantOwner(messenger.PageInbox)
	w.wantTold(`standby echo of inbox "Tom here"`)
}

func TestAgentReplyRenewsControl(t *testing.T) {
	t.Parallel()
	for name, customersOnly := range map[string]bool{"by_default": false, "not_if_customers_only": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, doubt(func(d *simulator.Doubts) { d.OnlyCustomersRenew = customersOnly }))
			w.says("hello")
			for range 2 {
				if _, err := w.Agent().Replies(ann, "Tom here"); err != nil {
					t.Fatal(err)
				}
				w.wantOwner(messenger.PageInbox)
				w.pass(23 * time.Hour)
			}
			if customersOnly {
				w.wantOwner("")
			} else {
				w.wantOwner(messenger.PageInbox)
			}
		})
	}
}

func TestAgentAnswersForSevenDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Agent().Replies("404", "hi"); !errors.Is(err, simulator.ErrNobody) {
		t.Errorf("reply to nobody = %v, want ErrNobody", err)
	}
	if _, err := w.Agent().Replies(ann, "hi"); !errors.Is(err, simulator.ErrWindow) {
		t.Errorf("reply before she wrote = %v, want ErrWindow", err)
	}
	w.says("hello")
	w.pass(7*day - time.Millisecond)
	if _, err := w.Agent().Replies(ann, "late"); err != nil {
		t.Error(err)
	}
	w.pass(time.Millisecond)
	if _, err := w.Agent().Replies(ann, "too late"); !errors.Is(err, simulator.ErrWindow) {
		t.Errorf("reply after 7 days = %v, want ErrWindow", err)
	}
}

func TestMovingToMainTakesControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.post("take_thread_control", "").wantOK(t)
	w.told()
	if err := w.Agent().MovesToMain(ann); err != nil {
		t.Fatal(err)
	}
	w.wantOwner(messenger.PageInbox)
	w.wantTold(`messaging take bot to inbox ""`)
}

func TestDone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit      func(*simulator.Options)
		idle      bool // nobody has control before
		want      []string
		wantOwner messenger.AppID
	}{
		"passes_to_the_default_app": {
			edit: func(*simulator.Options) {}, wantOwner: bot,
			want: []string{`messaging pass inbox to bot "Pass thread control from Page Inbox"`},
		},
		"releases":           {edit: func(o *simulator.Options) { o.Done = simulator.DoneRelease }},
		"does_nothing":       {edit: func(o *simulator.Options) { o.Done = simulator.DoneNothing }, wantOwner: messenger.PageInbox},
		"inbox_is_default":   {edit: func(o *simulator.Options) { o.DefaultApp = messenger.PageInbox }},
		"nobody_to_pass_to":  {edit: zeroConfig},
		"not_in_its_control": {edit: func(*simulator.Options) {}, idle: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.edit)
			w.says("hello")
			w.told()
			if !tt.idle {
				toInbox(w)
			}
			if err := w.Agent().Done(ann); err != nil {
				t.Fatal(err)
			}
			w.wantTold(tt.want...)
			w.wantOwner(tt.wantOwner)
		})
	}
}

const buttons = `"message":{"attachment":{"type":"template","payload":{"template_type":"button","text":"You can come back.",
	"buttons":[{"type":"postback","title":"Back to bot","payload":"BACK"},{"type":"web_url","title":"Help","url":"https://example.com"}]}}}`

func TestOwnButtonComesBackOnMessagingWhoeverHasControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.post("messages", buttons).wantOK(t)
	toInbox(w)
	w.says("in between") // buttons stay
	w.told()
	if _, err := w.Customer(ann).TapsButton("Back to bot"); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`messaging postback "Back to bot" BACK`)
	w.post("take_thread_control", "").wantOK(t)
	w.post("messages", strings.Replace(buttons, `"BACK"`, `"NEWER"`, 1)).wantOK(t)
	w.told()
	if _, err := w.Customer(ann).TapsButton("Back to bot"); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`messaging postback "Back to bot" NEWER`)
	if _, err := w.Customer(ann).TapsButton("Help"); !errors.Is(err, simulator.ErrLink) {
		t.Errorf("tap a link = %v, want ErrLink", err)
	}
	if _, err := w.Customer(ann).TapsButton("Nothing"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("tap nothing = %v, want ErrNotThere", err)
	}
}

func TestForeignButtonHasNoPayload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := &ear{t: t, secret: w.OtherApp(desk).Secret()}
	w.OtherApp(desk).Listen(other)
	w.says("hello")
	w.post("messages", buttons).wantOK(t)
	tap := func(want string) {
		t.Helper()
		w.told()
		other.take()
		if _, err := w.Customer(ann).TapsButton("Back to bot"); err != nil {
			t.Fatal(err)
		}
		w.wantTold(`messaging postback "Back to bot" BACK`)
		if diff := cmp.Diff([]string{want}, other.take()); diff != "" {
			t.Errorf("the desk was told otherwise (-want +got):\n%s", diff)
		}
	}
	tap(`standby postback "Back to bot" `)
	w.post("pass_thread_control", `"target_app_id":"2262510160704936"`).wantOK(t)
	tap(`messaging postback "Back to bot" `)
}

func TestQuickRepliesVanish(t *testing.T) {
	t.Parallel()
	ask := `"message":{"text":"Well?","quick_replies":[{"content_type":"text","title":"Yes","payload":"YES"},
		{"content_type":"text","title":"A title of more than twenty characters","payload":7}]}`
	w := newWorld(t)
	ann := w.Customer(ann)
	w.says("hello")
	w.post("messages", ask).wantOK(t)
	w.told()
	if _, err := ann.TapsQuickReply("No"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("tap what is not there = %v, want ErrNotThere", err)
	}
	if _, err := ann.TapsQuickReply("A title of more than"); err != nil { // it is cut at 20
		t.Error(err)
	}
	w.wantTold(`messaging quick reply "A title of more than" 7`)
	if _, err := ann.TapsQuickReply("Yes"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("tap after the tap = %v, want ErrNotThere", err)
	}
	w.post("messages", ask).wantOK(t)
	toInbox(w)
	if _, err := ann.TapsQuickReply("Yes"); err != nil {
		t.Error(err)
	}
	w.wantTold(`standby quick reply "Yes" YES`)
}

func TestQuickReplyHiddenOnStandby(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doubt(func(d *simulator.Doubts) { d.QuickReplyHidden = true }))
	w.says("hello")
	w.post("messages", `"message":{"text":"?","quick_replies":[{"content_type":"text","title":"Yes","payload":"YES"}]},
		"thread_control":{"control_type":"pass","app_id":"263902037430900"}`).wantOK(t)
	w.told()
	if _, err := w.Customer(ann).TapsQuickReply("Yes"); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`standby message "Yes"`)
}

func TestMenuAndGetStarted(t *testing.T) {
	t.Parallel()
	profile := `{"get_started":{"payload":"START"},"persistent_menu":[{"locale":"default","call_to_actions":[
		{"type":"postback","title":"Back","payload":"BACK"},{"type":"web_url","title":"Site","url":"https://example.com"}]},
		{"locale":"de_DE","call_to_actions":[{"type":"postback","title":"Zurück","payload":"BACK"}]}]}`
	tests := map[string]struct {
		hidden bool
		want   string
	}{
		"reaches_us":        {want: `messaging postback "Back" BACK`},
		"hidden_on_standby": {hidden: true, want: `standby postback "Back" `},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, doubt(func(d *simulator.Doubts) { d.MenuHidden = tt.hidden }))
			ann := w.Customer(ann)
			if _, err := ann.TapsMenu("Back"); !errors.Is(err, simulator.ErrNotThere) {
				t.Errorf("menu before there is one = %v, want ErrNotThere", err)
			}
			if _, err := ann.Starts(); !errors.Is(err, simulator.ErrNotThere) {
				t.Errorf("Get Started before there is one = %v, want ErrNotThere", err)
			}
			w.call("POST", "me/messenger_profile", profile).wantOK(t)
			if _, err := ann.Starts(); err != nil {
				t.Fatal(err)
			}
			w.wantTold(`messaging postback "Get Started" START`)
			if _, err := ann.Starts(); !errors.Is(err, simulator.ErrNotThere) {
				t.Errorf("Get Started twice = %v, want ErrNotThere", err)
			}
			toInbox(w)
			if _, err := ann.TapsMenu("Back"); err != nil {
				t.Fatal(err)
			}
			w.wantTold(tt.want)
			if _, err := ann.TapsMenu("Site"); !errors.Is(err, simulator.ErrLink) {
				t.Errorf("tap a link = %v, want ErrLink", err)
			}
			if _, err := ann.Speaks("de_DE").TapsMenu("Back"); !errors.Is(err, simulator.ErrNotThere) {
				t.Errorf("tap the menu of another locale = %v, want ErrNotThere", err)
			}
			if _, err := ann.TapsMenu("Zurück"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMediaReactionsAndReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.Customer(ann)
	if err := ann.Reacts("love"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("react to nothing = %v, want ErrNotThere", err)
	}
	for _, kind := range []string{"image", "like"} {
		if _, err := ann.Sends(kind); err != nil {
			t.Error(err)
		}
	}
	if _, err := ann.Sends("hologram"); err == nil {
		t.Error("send a hologram succeeded, want an error")
	}
	w.send("nice", "").wantOK(t)
	if err := errors.Join(ann.Reacts("love"), ann.Reads()); err != nil {
		t.Error(err)
	}
	w.wantTold("messaging message image", "messaging message sticker", `messaging echo of bot "nice"`, "messaging react love", "messaging read")
}

func TestEdits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, everyField)
	c := w.Customer(ann)
	mid := w.says("one")
	picture, err := c.Sends("image")
	if err != nil {
		t.Fatal(err)
	}
	w.send("hi", "").wantOK(t)
	lines := w.Transcript(ann)
	w.told()
	for _, bad := range []messenger.MessageID{picture, lines[2].MID, "m_404"} {
		if err := c.Edits(bad, "two"); !errors.Is(err, simulator.ErrNotThere) {
			t.Errorf("edit what is no text of hers = %v, want ErrNotThere", err)
		}
	}
	if err := c.Edits(mid, ""); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("edit to nothing = %v, want ErrNotThere", err)
	}
	w.pass(day)
	for range 5 {
		if err := c.Edits(mid, "two"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Edits(mid, "three"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("sixth edit = %v, want ErrNotThere", err)
	}
	if l := w.Transcript(ann)[0]; l.Text != "two" || l.Edited != 5 {
		t.Errorf("line = %q, edited %d times, want \"two\", 5 times", l.Text, l.Edited)
	}
	edit := `messaging edit "two"`
	w.wantTold(edit, edit, edit, edit, edit)
	w.send("late", "").want(t, 400, 10, 2018278) // no act that opens the window
}

func TestReactionsOpenTheWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.Customer(ann)
	w.says("hello")
	w.send("one", "").wantOK(t)
	w.send("two", "").wantOK(t)
	w.pass(day)
	for _, with := range []string{"", "hologram", "🎉 party"} {
		if err := c.Reacts(with); !errors.Is(err, simulator.ErrNotThere) {
			t.Errorf("react with %q = %v, want ErrNotThere", with, err)
		}
	}
	if err := c.Unreacts(); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("take back no reaction = %v, want ErrNotThere", err)
	}
	w.send("closed", "").want(t, 400, 10, 2018278)
	if err := c.Reacts("love"); err != nil {
		t.Fatal(err)
	}
	w.send("three", "").wantOK(t)
	w.pass(day)
	if err := c.Unreacts(); err != nil {
		t.Fatal(err)
	}
	w.send("closed", "").want(t, 400, 10, 2018278)
	if l := w.Transcript(ann)[2]; l.Text != "two" || l.Reaction != "" {
		t.Errorf("line = %q with %q, want the reaction to \"two\" gone", l.Text, l.Reaction)
	}
	w.wantTold(`messaging message "hello"`, `messaging echo of bot "one"`, `messaging echo of bot "two"`, "messaging react love",
		`messaging echo of bot "three"`, "messaging unreact ")
}

func TestSeveralMediaAndReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.Customer(ann)
	if _, err := c.Sends(); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("send nothing = %v, want ErrNotThere", err)
	}
	mid, err := c.Sends("image", "video", "sticker")
	if err != nil {
		t.Fatal(err)
	}
	w.wantTold("messaging message image video sticker")
	if l := w.Transcript(ann)[0]; l.Attachment != "image" || strings.Join(l.More, " ") != "video sticker" {
		t.Errorf("line = %q and %q, want image, video and sticker", l.Attachment, l.More)
	}
	if _, err := c.RepliesTo("m_404", "what?"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("reply to nothing = %v, want ErrNotThere", err)
	}
	if _, err := c.RepliesTo(mid, "mine"); err != nil {
		t.Fatal(err)
	}
	if l := w.Transcript(ann)[1]; l.ReplyTo != mid {
		t.Errorf("line quotes %q, want %s", l.ReplyTo, mid)
	}
}

func TestOptInsAndJudgmentsThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.Customer(ann)
	for _, in := range []simulator.OptIn{{}, {Ref: "a", Topic: "b"}} {
		if err := c.OptsIn(in); !errors.Is(err, simulator.ErrNotThere) {
			t.Errorf("opt in by %+v = %v, want ErrNotThere", in, err)
		}
	}
	if err := c.Judges(true); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("judge nothing = %v, want ErrNotThere", err)
	}
	if err := w.Enforces("perhaps", ""); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("enforce nothing = %v, want ErrNotThere", err)
	}
}

// A Page that Meta blocks may not send until it is unblocked; a warning is one.
func TestPolicyEnforcement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	for _, step := range []struct {
		action string
		code   int
	}{{"warning", 0}, {"block", 368}, {"warning", 368}, {"unblock", 0}} {
		if err := w.Enforces(step.action, "spam"); err != nil {
			t.Fatal(err)
		}
		status := 200
		if step.code != 0 {
			status = 400
		}
		w.send("hi", "").want(t, status, step.code, 0)
	}
}

func TestTranscriptIsWhatThePhoneShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	signed, _ := w.call("POST", "me/personas", `{"name":"Mia","profile_picture_url":"https://a.b/c.png"}`).body["id"].(string)
	w.post("messages", `"persona_id":"`+signed+`","message":{"text":"Well?","metadata":"m","quick_replies":[{"content_type":"text","title":"Yes","payload":"Y"}]}`).wantOK(t)
	if lines := w.Transcript(ann); !lines[1].Tappable {
		t.Error("the quick replies of the last message are not tappable")
	}
	w.post("messages", buttons).wantOK(t)
	if _, err := w.Agent().Replies(ann, "hi"); err != nil {
		t.Fatal(err)
	}
	got := w.Transcript(ann)
	seen := map[messenger.MessageID]bool{}
	for i := range got {
		if got[i].MID == "" || seen[got[i].MID] || !got[i].At.Equal(w.clock()) {
			t.Errorf("line %d has mid %q at %v, want a new one now", i, got[i].MID, got[i].At)
		}
		seen[got[i].MID] = true
		got[i].MID, got[i].At = "", time.Time{}
	}
	want := []simulator.Line{
		{From: simulator.FromCustomer, Text: "hello", Seen: true}, // the agent's reply means that
		{From: simulator.FromPage, App: bot, Text: "Well?", Persona: "Mia", Metadata: "m", QuickReplies: []simulator.QuickReply{{Title: "Yes", Payload: "Y"}}},
		{From: simulator.FromPage, App: bot, Text: "You can come back.", Template: "button", Buttons: []simulator.Button{
			{Title: "Back to bot", Payload: "BACK"}, {Title: "Help", URL: "https://example.com"},
		}},
		{From: simulator.FromPage, App: messenger.PageInbox, Text: "hi"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transcript (-want +got):\n%s", diff)
	}
}

func TestBlockedPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.Customer(ann).Blocks(true)
	w.send("hi", "").want(t, 400, 551, 1545041)
	w.Customer(ann).Blocks(false)
	w.send("hi", "").wantOK(t)
}

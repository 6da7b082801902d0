package simulator_test

import (
	"testing"
	"time"

	"usher/messenger"
	"usher/messenger/simulator"
)

// hears lets an app listen, and returns what compares what it was told.
func (w *world) hears(id messenger.AppID) (wantTold func(want ...string)) {
	w.t.Helper()
	app := w.OtherApp(id)
	other := &ear{t: w.t, secret: app.Secret()}
	app.Listen(other)
	return func(want ...string) {
		w.t.Helper()
		w.told()
		wantSame(w.t, string(id), want, other.take())
	}
}

// A link in a thread that exists opens the window and is told at once.
func TestLinkIntoAThread(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.pass(2 * day)
	w.told()
	w.Customer(ann).Enters("flyer")
	w.wantTold("messaging referral flyer SHORTLINK OPEN_THREAD")
	w.send("welcome back", "").wantOK(t)
	toInbox(w)
	w.Customer(ann).Enters("poster")
	w.Customer(ann).Enters("") // a plain link tells nothing
	w.wantTold("standby referral poster SHORTLINK OPEN_THREAD")
}

// A link into a new thread is told with her first act.
func TestLinkIntoANewThread(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		act  func(*simulator.Customer) (messenger.MessageID, error)
		want []string
	}{
		"postback": {(*simulator.Customer).Starts, []string{`messaging postback "Get Started" START by flyer`}},
		"message": {
			func(c *simulator.Customer) (messenger.MessageID, error) { return c.Says("hello") },
			[]string{"messaging referral flyer SHORTLINK OPEN_THREAD", `messaging message "hello"`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.call("POST", "me/messenger_profile", `{"get_started":{"payload":"START"}}`).wantOK(t)
			c := w.Customer(ann)
			c.Enters("flyer")
			w.wantTold()
			w.send("hi", "").want(t, 400, 10, 2018278) // no window yet
			if _, err := tt.act(c); err != nil {
				t.Fatal(err)
			}
			w.wantTold(tt.want...)
			w.says("again")
			w.wantTold(`messaging message "again"`)
		})
	}
}

func TestLinkRouting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	desk := w.hears(desk)
	w.RouteLink("flyer", "2262510160704936")
	w.Customer(ann).Enters("flyer")
	w.wantOwner("") // from her first message on
	w.says("hello")
	w.wantTold("standby referral flyer SHORTLINK OPEN_THREAD", `standby message "hello"`)
	desk("messaging referral flyer SHORTLINK OPEN_THREAD", `messaging message "hello"`)
	w.wantOwner("2262510160704936")
	w.send("hi", "").want(t, 400, 10, 2018300)
	w.pass(day)
	w.wantOwner("")
	w.says("and now?")
	w.wantTold(`messaging message "and now?"`) // it has led there once
	w.Customer(ann).Enters("poster")           // leads nowhere
	w.wantOwner("")
	w.Customer(ann).Enters("flyer")
	w.wantOwner("2262510160704936")
	w.RouteLink("flyer", "")
	if got := w.Settings().Links; len(got) != 0 {
		t.Errorf("links = %v, want none", got)
	}
	w.pass(day)
	w.Customer(ann).Enters("flyer")
	w.wantOwner("")
}

// An app that has control loses it to the way into the thread, unless that needs
// an idle one. Nobody is told.
func TestEntryInAnActiveThread(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		needsIdle bool
		want      messenger.AppID
		channel   string
	}{
		"takes_over":  {want: desk, channel: "standby"},
		"leaves_it":   {needsIdle: true, want: bot, channel: "messaging"},
		"by_ad":       {want: desk, channel: "standby"},
		"ad_needs_it": {needsIdle: true, want: bot, channel: "messaging"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, doubt(func(d *simulator.Doubts) { d.EntryNeedsIdle = tt.needsIdle }))
			w.RouteLink("flyer", desk)
			w.says("hello")
			w.post("take_thread_control", "").wantOK(t)
			w.told()
			if name == "by_ad" || name == "ad_needs_it" {
				w.Customer(ann).ComesFromAd(simulator.Ad{Ref: "flyer", App: desk})
				w.wantTold(tt.channel + " referral flyer ADS OPEN_THREAD")
			} else {
				w.Customer(ann).Enters("flyer")
				w.wantTold(tt.channel + " referral flyer SHORTLINK OPEN_THREAD")
			}
			w.wantOwner(tt.want)
		})
	}
}

func TestSocialRouting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.RouteSocial(desk)
	w.says("hello")
	w.wantOwner(desk)
	w.wantTold(`standby message "hello"`)
	if err := w.OtherApp(desk).Release(ann); err != nil {
		t.Fatal(err)
	}
	w.says("still here") // within 24 h the default app goes on
	w.wantOwner("")
	w.pass(day)
	w.Customer(ann).ComesFromAd(simulator.Ad{ID: "604"})
	w.says("from an ad")
	w.wantOwner("")
	w.pass(day)
	w.Customer(ann).Enters("flyer")
	w.wantOwner("")
	w.pass(day)
	w.says("back again")
	w.wantOwner(desk)
	w.post("pass_thread_control", "").want(t, 400, 100, 0)
	if err := w.OtherApp(desk).Extend(ann, 2*day); err != nil {
		t.Fatal(err)
	}
	w.RouteSocial(bot)
	w.pass(day)
	w.says("still controlled")
	w.wantOwner(desk)
	w.pass(day)
	w.RouteSocial("")
	w.says("back again")
	w.wantOwner("")
}

func TestSocialRoutingOfGetStarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.RouteSocial(desk)
	w.call("POST", "me/messenger_profile", `{"get_started":{"payload":"START"}}`).wantOK(t)
	if _, err := w.Customer(ann).Starts(); err != nil {
		t.Fatal(err)
	}
	w.wantOwner(desk)
}

// Without a default app only campaigns route.
func TestEntryRoutingInZeroConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t, zeroConfig)
	w.RouteSocial(desk)
	w.RouteLink("flyer", desk)
	w.Customer(ann).Enters("flyer")
	w.says("hello")
	w.wantOwner("")
	w.pass(day)
	w.says("hello")
	w.wantOwner("")
	w.Customer(ann).ComesFromAd(simulator.Ad{ID: "604", App: desk})
	w.wantOwner(desk)
}

func TestCampaignRouting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.Customer(ann)
	c.ComesFromAd(simulator.Ad{ID: "604", App: desk, Days: 3})
	w.wantOwner("")
	w.wantTold()
	w.send("hi", "").want(t, 400, 10, 2018278) // the tap alone opens no window
	w.says("hello")
	w.wantTold(`standby message "hello" by ad 604`)
	lapses := func(want time.Duration) {
		t.Helper()
		if _, until := w.Owner(ann); until.Sub(w.clock()) != want {
			t.Errorf("control lapses in %v, want %v", until.Sub(w.clock()), want)
		}
	}
	lapses(3 * day)
	w.pass(2 * day)
	lapses(day)
	w.says("yes?") // from her last message on
	lapses(3 * day)
	w.pass(day - time.Millisecond)
	if _, err := w.OtherApp(desk).Send(ann, "hi"); err != nil {
		t.Fatal(err)
	}
	lapses(2*day + time.Millisecond) // the app's words do not count
	w.pass(2*day + time.Millisecond)
	w.wantOwner("")
}

// Every change of control ends what the ad has given.
func TestRoutingActionsResetTheAdsDays(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*world) error{
		"pass": func(w *world) error { return w.OtherApp(desk).Pass(ann, bot, "") },
		"take": func(w *world) error {
			w.post("take_thread_control", "").wantOK(w.t)
			return nil
		},
		"extend": func(w *world) error { return w.OtherApp(desk).Extend(ann, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Customer(ann).ComesFromAd(simulator.Ad{App: desk, Days: 7})
			w.says("hello")
			if err := act(w); err != nil {
				t.Fatal(err)
			}
			w.says("and now?")
			if _, until := w.Owner(ann); until.Sub(w.clock()) != day {
				t.Errorf("control lapses in %v, want a day", until.Sub(w.clock()))
			}
		})
	}
}

// An ad leads to its app once, with the tap, not again with her next message.
func TestAdLeadsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.Customer(ann).ComesFromAd(simulator.Ad{ID: "604", App: desk})
	w.wantOwner(desk)
	w.post("take_thread_control", "").wantOK(t)
	w.says("there?")
	w.wantOwner(bot)
}

func TestDaysOfAnAd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ days, limit, want int }{
		"none":           {0, 0, 1},
		"negative":       {-3, 0, 1},
		"longest":        {7, 0, 7},
		"too_long":       {8, 0, 1},
		"by_changelog":   {30, 30, 30},
		"beyond_it":      {31, 30, 1},
		"shorter_is_set": {3, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, doubt(func(d *simulator.Doubts) { d.AdDays = tt.limit }))
			w.Customer(ann).ComesFromAd(simulator.Ad{App: desk, Days: tt.days})
			w.says("hello")
			if _, until := w.Owner(ann); until.Sub(w.clock()) != time.Duration(tt.want)*day {
				t.Errorf("control lapses in %v, want %d days", until.Sub(w.clock()), tt.want)
			}
		})
	}
}

// An ad in a thread that exists is told at once, and again with her next message,
// where the app wants referrals.
func TestAdIntoAThread(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.pass(day)
	w.told()
	w.Customer(ann).ComesFromAd(simulator.Ad{ID: "604", Ref: "SUMMER"})
	w.send("hi", "").want(t, 400, 10, 2018278) // the tap alone opens no window
	w.says("there?")
	w.says("hm")
	w.wantTold("messaging referral SUMMER ADS OPEN_THREAD", `messaging message "there?" by ad 604`, `messaging message "hm"`)
	w.call("POST", "me/subscribed_apps", `{"subscribed_fields":["messages"]}`).wantOK(t)
	w.Customer(ann).ComesFromAd(simulator.Ad{ID: "604", Ref: "SUMMER"})
	w.says("there?")
	w.wantTold(`messaging message "there?"`)
}

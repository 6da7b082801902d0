package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"usher/cmd/usher/page"
	"usher/config"
	"usher/messenger"
	"usher/messenger/simulator"
)

// What the page can do to a stage.

// The bounds of the clock: one step, and all steps together.
const (
	maxStep  = 7 * 24 * time.Hour
	maxAhead = 365 * 24 * time.Hour
)

// doneWays are what Done can do; the first is what it does at the start.
var doneWays = []string{"pass", "release", "nothing"} //nolint:gochecknoglobals // a table

func refused(status int, format string, args ...any) error {
	return &page.ActError{Status: status, Text: fmt.Sprintf(format, args...)}
}

// Do does an act of the page. While a situation is played only the end of it, or of
// everything, is.
func (t *theatre) Do(ctx context.Context, a page.Act) error {
	if a.Do == page.DoStop {
		t.halt()
		return nil
	}
	t.doing.Lock()
	defer t.doing.Unlock()
	if a.Do == page.DoReset {
		t.halt()
		return t.reset(context.WithoutCancel(ctx)) // nobody is left without a stage
	}
	if id := t.underWay(); id != "" {
		return refused(http.StatusConflict, "a situation is being played: stop it first")
	}
	if a.PSID != "" && !slices.ContainsFunc(t.roles(), func(r role) bool { return r.psid == a.PSID }) {
		return refused(http.StatusNotFound, "there is no customer %s", a.PSID)
	}
	err := t.act(ctx, a)
	t.log.touch()
	switch {
	case errors.Is(err, simulator.ErrNobody):
		return refused(http.StatusNotFound, "%v", err)
	case errors.Is(err, simulator.ErrNotThere), errors.Is(err, simulator.ErrLink), errors.Is(err, simulator.ErrWindow):
		return refused(http.StatusConflict, "%v", err)
	}
	return err
}

func (t *theatre) act(ctx context.Context, a page.Act) error {
	switch a.Do {
	case page.DoPlay:
		return t.begin(ctx, a.Text, a.PSID)
	case page.DoCustomer:
		return t.newCustomer(a.Text)
	case page.DoForward:
		return t.forward(a.Text)
	case page.DoKill:
		return t.kill()
	case page.DoRestart:
		return t.restart(context.WithoutCancel(ctx))
	case page.DoGraph:
		return t.setGraph(a.Text)
	case page.DoDoneIs:
		return t.setDone(a.Text)
	case page.DoAgent, page.DoOpen, page.DoMain, page.DoDone:
		return t.agent(a) //nolint:contextcheck // Meta delivers in its own time
	}
	return t.customer(a) //nolint:contextcheck // Meta delivers in its own time
}

func (t *theatre) customer(a page.Act) (err error) {
	c := t.stage.meta.Customer(a.PSID)
	switch a.Do {
	case page.DoSays:
		_, err = c.Says(a.Text)
	case page.DoReply:
		_, err = c.TapsQuickReply(a.Text)
	case page.DoButton:
		if _, err = c.TapsButton(a.Text); errors.Is(err, simulator.ErrNotThere) {
			_, err = c.TapsIceBreaker(a.Text)
		}
	case page.DoMenu:
		_, err = c.TapsMenu(a.Text)
	case page.DoStart:
		_, err = c.Starts()
	case page.DoSends:
		_, err = c.Sends(a.Text)
	case page.DoReacts:
		err = c.Reacts(a.Text)
	case page.DoReads:
		err = c.Reads()
	default:
		err = refused(http.StatusBadRequest, "nobody can do %q", a.Do)
	}
	return err
}

func (t *theatre) agent(a page.Act) (err error) {
	agent := t.stage.meta.Agent()
	switch a.Do {
	case page.DoAgent:
		_, err = agent.Replies(a.PSID, a.Text)
	case page.DoOpen:
		err = agent.Opens(a.PSID)
	case page.DoMain:
		err = agent.MovesToMain(a.PSID)
	case page.DoDone:
		err = agent.Done(a.PSID)
	}
	return err
}

func (t *theatre) newCustomer(name string) error {
	if len(t.roles()) >= maxCast {
		return refused(http.StatusConflict, "there are %d customers already: begin anew", maxCast)
	}
	t.enter(strings.TrimSpace(name), "en_US")
	return nil
}

func (t *theatre) forward(text string) error {
	d, err := config.ParseDuration(text)
	if err != nil || d < time.Second || d > maxStep {
		return refused(http.StatusBadRequest, "the clock goes forward by 1s to %s, not %q", config.FormatDuration(maxStep), text)
	}
	if time.Duration(t.stage.clock.ahead.Load())+d > maxAhead {
		return refused(http.StatusConflict, "the clock is a year ahead: begin anew")
	}
	t.stage.clock.forward(d)
	t.world("", "", "%s later", config.FormatDuration(d))
	return nil
}

func (t *theatre) kill() error {
	u := t.stage.usher()
	if !u.alive() {
		return refused(http.StatusConflict, "Usher is down already")
	}
	u.kill()
	t.world("", toneBad, "Usher is killed (kill -9)")
	return nil
}

func (t *theatre) restart(ctx context.Context) error {
	if t.stage.usher().alive() {
		return refused(http.StatusConflict, "Usher is up")
	}
	if err := t.stage.restart(ctx); err != nil {
		return err
	}
	t.world("", toneGood, "Usher is started again; it waits for the lease of the one that died")
	if _, lapsed := t.stage.meta.Subscribed(stageApp); lapsed {
		t.world("", toneWarn, "Meta had unsubscribed the Page, after an hour of failed deliveries: `usher setup`")
		if err := t.setUp(ctx); err != nil {
			return refused(http.StatusConflict, "Usher is up, but Meta delivers nothing: %v", err)
		}
	}
	return nil
}

func (t *theatre) setGraph(to string) error {
	down := to == "down"
	if !down && to != "up" {
		return refused(http.StatusBadRequest, "Graph goes down or up, not %q", to)
	}
	t.mu.Lock()
	same := t.graphDown == down
	t.graphDown = down
	t.mu.Unlock()
	switch {
	case same:
	case down:
		t.stage.meta.FailNext("", simulator.Failure{Status: http.StatusServiceUnavailable, Code: 2, Message: "Service temporarily unavailable", Times: -1})
		t.world("", toneBad, "Meta's Graph API is down")
	default:
		t.stage.meta.Heal()
		t.world("", toneGood, "Meta's Graph API is up again")
	}
	return nil
}

func (t *theatre) setDone(to string) error {
	way := slices.Index(doneWays, to)
	if way < 0 {
		return refused(http.StatusBadRequest, "Done can %s, not %q", strings.Join(doneWays, ", "), to)
	}
	t.stage.meta.SetDone([]simulator.Done{simulator.DonePass, simulator.DoneRelease, simulator.DoneNothing}[way])
	t.mu.Lock()
	t.done = to
	t.mu.Unlock()
	t.world("", "", "From now on Done %s", []string{
		"passes the thread back to Usher", "lets the thread fall idle, without a word", "changes nothing at Meta",
	}[way])
	return nil
}

// reset begins everything anew.
func (t *theatre) reset(ctx context.Context) error {
	t.using.Lock()
	defer t.using.Unlock()
	err := t.stage.stop()
	t.log.restart()
	t.forget()
	if err := errors.Join(err, t.open(ctx)); err != nil {
		return fmt.Errorf("begin anew: %w", err)
	}
	return nil
}

// known returns a customer's role.
func (sh *show) known(psid messenger.PSID) role {
	roles := sh.roles()
	return roles[slices.IndexFunc(roles, func(r role) bool { return r.psid == psid })]
}

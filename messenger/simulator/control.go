package simulator

import (
	"time"

	"usher/messenger"
)

// The rules of thread control. All of it runs with the lock held.

// owner returns the app that controls t now; "" is idle. Control lapses without
// a word.
func (m *Meta) owner(t *thread) messenger.AppID {
	if t.owner != "" && !m.now().Before(t.until) {
		t.owner = ""
	}
	return t.owner
}

// give makes to the controller for a day; "" lets the thread fall idle.
func (m *Meta) give(t *thread, to messenger.AppID) { m.giveFor(t, to, day) }

// giveFor makes to the controller until d after the customer's last act.
func (m *Meta) giveFor(t *thread, to messenger.AppID, d time.Duration) {
	t.owner, t.span, t.until = to, d, m.now().Add(d)
}

// renew lets control last for d from now, unless it lasts longer.
func (m *Meta) renew(t *thread, d time.Duration) {
	if until := m.now().Add(d); m.owner(t) != "" && until.After(t.until) {
		t.until = until
	}
}

// leads tells whether a is to answer t: it controls it, or the thread is idle
// and a is the default app. Without a default app everybody leads.
func (m *Meta) leads(t *thread, a *app) bool {
	if m.defaultApp == "" {
		return true
	}
	owner := m.owner(t)
	return owner == a.id || owner == "" && a.id == m.defaultApp
}

// maySend refuses an app that another one keeps from sending, and a Page that
// Meta does.
func (m *Meta) maySend(t *thread, a *app) *GraphError {
	switch {
	case m.restricted:
		return refuse(368, 0, "The action attempted has been deemed abusive or is otherwise disallowed")
	case m.filling(t):
		return refuse(2018321, 0, "(#2018321) Message failed to send because an automated lead generation flow is in progress.")
	case m.leads(t, a):
		return nil
	}
	return refuse(10, 2018300, "(#10) Message failed to send because another app is controlling this thread now.")
}

// mayPass returns whom a pass names, or why a may not pass what owner controls.
func (m *Meta) mayPass(owner messenger.AppID, a *app, to messenger.AppID) (messenger.AppID, *GraphError) {
	to = or(to, m.defaultApp)
	switch {
	case owner != "" && owner != a.id:
		return "", refuse(100, 0, "(#100) calling app is not the thread owner")
	case to == "":
		return "", refuse(100, 0, "(#100) The parameter target_app_id is required")
	case m.find(to) == nil:
		return "", refuse(100, 2018164, "(#100) Incorrect App ID.")
	case owner == to:
		return "", refuse(100, 0, "(#100) target app is already the thread owner")
	}
	return to, nil
}

// pass moves control and tells the new controller.
func (m *Meta) pass(t *thread, to messenger.AppID, metadata string) {
	from := m.owner(t)
	m.give(t, to)
	if to == m.opt.Inbox {
		t.filed, t.notified = false, true
	}
	m.tell(m.find(to), t, event{
		kind: messenger.KindPass, field: fieldHandovers, control: to, metadata: metadata,
		item: item{Pass: &control{Previous: m.idOf(from), New: m.appID(to), Metadata: metadata}},
	})
}

// mayTake refuses an app that the Page does not let take, and one that has
// control already.
func (m *Meta) mayTake(t *thread, a *app) *GraphError {
	code := m.opt.Doubts.TakeRefusal
	switch {
	case m.defaultApp == "":
		return refuse(code, 0, "(#%d) not supported when Conversation Routing is not enabled", code)
	case !a.mayTake && (a.id != m.defaultApp || !m.opt.Doubts.DefaultTakesFreely):
		return refuse(code, 0, "(#%d) the app is not allowed to take thread control", code)
	case m.owner(t) == a.id && !m.opt.Doubts.RetakeSucceeds:
		return refuse(100, 0, "(#100) calling app is already the thread owner")
	}
	return nil
}

// take moves control to an app that helps itself, and tells who lost it.
func (m *Meta) take(t *thread, by messenger.AppID, metadata string) {
	from := m.owner(t)
	m.give(t, by)
	if from == by {
		return // a renewal
	}
	times, byAI := 1, by == messenger.BusinessAI
	if byAI {
		times = m.opt.Doubts.AITakeTold
	}
	for _, a := range m.apps {
		if a.id != from && m.opt.Doubts.TakeTold != TakeToldAll {
			continue
		}
		for range times {
			m.tell(a, t, event{
				kind: messenger.KindTake, field: fieldHandovers, control: by, metadata: metadata, inSeconds: byAI,
				item: item{Take: &control{Previous: m.idOf(from), New: m.appID(by), Metadata: metadata}},
			})
		}
	}
}

// request asks the controller for control; an idle thread is given at once.
func (m *Meta) request(t *thread, a *app, metadata string) *GraphError {
	owner := m.owner(t)
	switch {
	case m.defaultApp != "":
		return refuse(100, 0, "(#100) request_thread_control is only supported without Conversation Routing")
	case owner == a.id:
		return refuse(100, 0, "(#100) calling app is already the thread owner")
	case owner == "":
		m.pass(t, a.id, metadata)
		return nil
	}
	m.tell(m.find(owner), t, event{
		kind: messenger.KindRequest, field: fieldHandovers, control: a.id, metadata: metadata,
		item: item{Request: &control{Requested: m.idOf(a.id), Metadata: metadata}},
	})
	return nil
}

// release lets the thread fall idle. Nobody is told.
func (m *Meta) release(t *thread, a *app) *GraphError {
	if m.owner(t) != a.id {
		return refuse(100, 0, "(#100) Only the current thread owner can release")
	}
	m.give(t, "")
	return nil
}

// extend keeps a's control for so many seconds from now.
func (m *Meta) extend(t *thread, a *app, seconds int) *GraphError {
	longest := int(maxExtension.Seconds())
	switch {
	case m.owner(t) != a.id:
		return refuse(100, 0, "(#100) calling app is not the thread owner")
	case seconds < 1 || seconds > longest:
		return refuse(100, 0, "(#100) Param duration must be between 1 and %d seconds", longest)
	}
	t.span, t.until = day, m.now().Add(time.Duration(seconds)*time.Second)
	return nil
}

// customerActs opens the window and keeps control where it is, or where her way
// into the thread leads it.
func (m *Meta) customerActs(t *thread) {
	m.route(t)
	t.acted = m.now()
	m.renew(t, t.span)
	if m.opt.Doubts.IdleOwner == IdleToDefault && m.owner(t) == "" {
		m.give(t, m.defaultApp)
	}
}

// appSent keeps the control of an app that sends.
func (m *Meta) appSent(t *thread, a *app) {
	switch owner := m.owner(t); {
	case owner == a.id && !m.opt.Doubts.OnlyCustomersRenew:
		m.renew(t, day)
	case owner == "" && a.id == m.defaultApp && m.opt.Doubts.IdleOwner == IdleToDefaultSend:
		m.give(t, a.id)
	}
}

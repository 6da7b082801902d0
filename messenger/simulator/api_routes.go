package simulator

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/messenger"
)

// controls are the routes of the control API, by the patterns of net/http.
func (m *Meta) controls() map[string]func(*http.Request) (any, error) {
	return map[string]func(*http.Request) (any, error){
		"GET /_simulator/openapi.yaml":            func(*http.Request) (any, error) { return openAPI, nil },
		"GET /_simulator/verbs":                   listVerbs,
		"GET /_simulator/customers":               m.listCustomers,
		"PUT /_simulator/customers/{psid}":        m.putCustomer,
		"GET /_simulator/customers/{psid}":        m.getCustomer,
		"POST /_simulator/customers/{psid}/deeds": m.customerDeed,
		"GET /_simulator/customers/{psid}/phone":  m.getPhone,
		"GET /_simulator/inbox":                   func(*http.Request) (any, error) { return map[string]any{"chats": m.Inbox()}, nil },
		"POST /_simulator/inbox/deeds":            func(r *http.Request) (any, error) { return carryOut(r, m.Agent().Do) },
		"POST /_simulator/ai/deeds":               func(r *http.Request) (any, error) { return carryOut(r, m.AI().Do) },
		"POST /_simulator/meta/deeds":             func(r *http.Request) (any, error) { return carryOut(r, m.Do) },
		"GET /_simulator/apps":                    m.listApps,
		"PUT /_simulator/apps/{app}":              m.putApp,
		"POST /_simulator/apps/{app}/deeds":       m.appDeed,
		"PUT /_simulator/deliveries":              m.putDeliveries,
		"GET /_simulator/faults":                  func(*http.Request) (any, error) { return m.Faults(), nil },
		"POST /_simulator/faults":                 m.postFault,
		"PATCH /_simulator/faults":                m.patchFaults,
		"DELETE /_simulator/faults":               func(*http.Request) (any, error) { m.Heal(); return m.Faults(), nil },
		"GET /_simulator/settings":                func(*http.Request) (any, error) { return m.Settings(), nil },
		"PATCH /_simulator/settings":              m.patchSettings,
		"GET /_simulator/clock":                   m.getClock,
		"POST /_simulator/clock":                  m.postClock,
		"POST /_simulator/settle":                 m.postSettle,
		"GET /_simulator/ledger":                  m.getLedger,
	}
}

func listVerbs(*http.Request) (any, error) {
	type view struct {
		Does  string   `json:"does"`
		Needs []string `json:"needs"`
		Takes []string `json:"takes"`
	}
	views := map[string][]view{}
	for who, verbs := range Verbs() {
		for _, v := range verbs {
			views[who] = append(views[who], view(v))
		}
	}
	return views, nil
}

// customerView is a customer as the API shows her.
type customerView struct {
	PSID    messenger.PSID  `json:"psid"`
	First   string          `json:"first_name"`
	Last    string          `json:"last_name"`
	Locale  string          `json:"locale"`
	Blocked bool            `json:"blocked"`
	Owner   messenger.AppID `json:"owner,omitempty"` // nobody: the thread is idle
	Until   *time.Time      `json:"until,omitempty"`
}

// viewOf shows a customer. The lock is held.
func (m *Meta) viewOf(t *thread) customerView {
	v := customerView{PSID: t.psid, First: t.first, Last: t.last, Locale: t.locale, Blocked: t.blocked, Owner: m.owner(t)}
	if until := t.until; v.Owner != "" {
		v.Until = &until
	}
	return v
}

func (m *Meta) listCustomers(*http.Request) (any, error) {
	views := []customerView{}
	for _, psid := range m.Customers() {
		m.mu.Lock()
		views = append(views, m.viewOf(m.threads[psid])) // customers stay
		m.mu.Unlock()
	}
	return map[string]any{"customers": views}, nil
}

func (m *Meta) getCustomer(r *http.Request) (any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, err := m.known(messenger.PSID(r.PathValue("psid")))
	if err != nil {
		return nil, err
	}
	return m.viewOf(t), nil
}

func (m *Meta) putCustomer(r *http.Request) (any, error) {
	psid := messenger.PSID(r.PathValue("psid"))
	if err := digits("path.psid", string(psid)); err != nil {
		return nil, err
	}
	var body struct {
		First  string `json:"first_name"`
		Last   string `json:"last_name"`
		Locale string `json:"locale"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	m.Customer(psid).Named(body.First, body.Last).Speaks(body.Locale)
	return m.getCustomer(r)
}

// digits wants an id as Meta's are.
func digits(where, id string) error {
	if _, err := strconv.ParseUint(id, 10, 64); err != nil {
		return &problem{
			status: http.StatusBadRequest, What: "the id is none", Where: where, Why: fmt.Sprintf("%q is not a number", id),
			Mend: "give up to 19 decimal digits",
		}
	}
	return nil
}

func (m *Meta) getPhone(r *http.Request) (any, error) {
	if _, err := m.getCustomer(r); err != nil {
		return nil, err
	}
	return m.Phone(messenger.PSID(r.PathValue("psid"))), nil
}

func (m *Meta) customerDeed(r *http.Request) (any, error) {
	if _, err := m.getCustomer(r); err != nil {
		return nil, err
	}
	return carryOut(r, m.Customer(messenger.PSID(r.PathValue("psid"))).Do)
}

func (m *Meta) appDeed(r *http.Request) (any, error) {
	id := messenger.AppID(r.PathValue("app"))
	if err := m.connected(id); err != nil {
		return nil, err
	}
	return carryOut(r, m.OtherApp(id).Do)
}

// carryOut reads a deed and does it.
func carryOut(r *http.Request, do func(Deed) (Outcome, error)) (any, error) {
	var d Deed
	if err := readBody(r, &d); err != nil {
		return nil, err
	}
	out, err := do(d)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (m *Meta) connected(id messenger.AppID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.find(id) == nil {
		return &problem{
			status: http.StatusNotFound, What: "no such app", Where: "path.app", Why: fmt.Sprintf("app %q is not connected to the Page", id),
			Mend: "connect it first: PUT " + controlPath + "apps/{app}",
		}
	}
	return nil
}

// appView is an app as the API shows it.
type appView struct {
	ID      messenger.AppID `json:"id"`
	Take    bool            `json:"take"` // it may take control
	Fields  []string        `json:"subscribed_fields"`
	Lapsed  bool            `json:"lapsed"` // Meta unsubscribed it, for failing
	Webhook string          `json:"webhook,omitempty"`
	Waiting int             `json:"waiting"` // events to deliver
	// Token and Secret let another app than the one under test call Graph and
	// check signatures.
	Token  string `json:"token,omitempty"`
	Secret string `json:"secret,omitempty"`
}

// appViewOf shows an app. The lock is held.
func (m *Meta) appViewOf(a *app) appView {
	v := appView{ID: a.id, Take: a.mayTake, Fields: append([]string{}, a.fields...), Lapsed: a.lapsed, Webhook: a.queue.url, Waiting: len(a.queue.waiting)}
	if a != m.us {
		v.Token, v.Secret = a.token, a.secret
	}
	return v
}

func (m *Meta) listApps(*http.Request) (any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	views := []appView{}
	for _, a := range m.apps {
		views = append(views, m.appViewOf(a))
	}
	return map[string]any{"apps": views}, nil
}

func (m *Meta) putApp(r *http.Request) (any, error) {
	id := r.PathValue("app")
	if err := digits("path.app", id); err != nil {
		return nil, err
	}
	var body struct {
		Take    *bool   `json:"take"`
		Webhook *string `json:"webhook"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.Webhook != nil && *body.Webhook != "" {
		if u, err := url.Parse(*body.Webhook); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, &problem{
				status: http.StatusBadRequest, What: "the webhook is none", Where: "body.webhook", Why: fmt.Sprintf("%q is no http address", *body.Webhook),
				Mend: "give a whole address: http://127.0.0.1:9000/webhook",
			}
		}
	}
	a := m.OtherApp(messenger.AppID(id)).app
	if body.Take != nil {
		m.AllowTake(a.id, *body.Take)
	}
	if body.Webhook != nil {
		m.listen(a, nil, *body.Webhook)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.appViewOf(a), nil
}

func (m *Meta) putDeliveries(r *http.Request) (any, error) {
	var body struct {
		Held  bool `json:"held"`
		Batch int  `json:"batch"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	switch {
	case body.Batch < 0 || body.Batch > maxBatch:
		return nil, outside("body.batch", body.Batch, 1, maxBatch)
	case body.Held:
		m.HoldDeliveries()
	default:
		m.ReleaseDeliveries(body.Batch)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return map[string]any{"held": m.faults.held, "batch": m.faults.batch}, nil
}

// postFault arms a failure.
func (m *Meta) postFault(r *http.Request) (any, error) {
	var body struct {
		Edge    string  `json:"edge"`
		Failure Failure `json:"failure"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	m.FailNext(body.Edge, body.Failure)
	return m.Faults(), nil
}

// patchFaults changes what is wrong until it is healed.
func (m *Meta) patchFaults(r *http.Request) (any, error) {
	now := m.Faults()
	body := struct {
		TokenDead     bool    `json:"token_dead"`
		DroppedEchoes float64 `json:"dropped_echoes"`
		Duplicates    int     `json:"duplicates"`
		Reorder       bool    `json:"reorder"`
		Latency       *span   `json:"latency"`
		Chaos         *struct {
			Seed  uint64 `json:"seed"`
			Every span   `json:"every"`
		} `json:"chaos"`
	}{now.TokenDead, now.DroppedEchoes, now.Duplicates, now.Reorder, nil, nil}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	switch {
	case body.DroppedEchoes < 0 || body.DroppedEchoes > 1:
		return nil, outside("body.dropped_echoes", body.DroppedEchoes, 0, 1)
	case body.Duplicates < 0 || body.Duplicates > maxCopies:
		return nil, outside("body.duplicates", body.Duplicates, 0, maxCopies)
	}
	if c := body.Chaos; c != nil {
		if c.Every <= 0 {
			return nil, outside("body.chaos.every", time.Duration(c.Every), "above 0s", "any time")
		}
		m.Chaos(c.Seed, time.Duration(c.Every))
	}
	if body.TokenDead && !now.TokenDead {
		m.RevokeToken()
	} else if !body.TokenDead && now.TokenDead {
		m.SetPageToken(m.opt.PageToken)
	}
	m.DropEchoes(body.DroppedEchoes)
	m.DuplicateDeliveries(body.Duplicates)
	m.Reorder(body.Reorder)
	switch slow := body.Latency; {
	case slow == nil:
	case *slow == 0:
		m.Latency(nil)
	default:
		m.Latency(func(string) time.Duration { return time.Duration(*slow) })
	}
	return m.Faults(), nil
}

// maxCopies bounds how many more times an event may be delivered.
const maxCopies = 100

// outside is a number that is out of bounds.
func outside(where string, got, least, most any) error {
	return &problem{
		status: http.StatusBadRequest, What: "the number is none", Where: where, Why: fmt.Sprintf("%v is outside %v to %v", got, least, most),
		Mend: "stay within them",
	}
}

func (m *Meta) patchSettings(r *http.Request) (any, error) {
	s := m.Settings()
	if err := readBody(r, &s); err != nil {
		return nil, err
	}
	for where, id := range map[string]messenger.AppID{"body.default_app": s.DefaultApp, "body.social": s.Social} {
		if id == "" {
			continue
		}
		if err := digits(where, string(id)); err != nil {
			return nil, err
		}
	}
	m.SetSettings(s)
	return m.Settings(), nil
}

func (m *Meta) getClock(*http.Request) (any, error) {
	return map[string]any{"now": m.now(), "virtual": m.opt.Clock != nil}, nil
}

func (m *Meta) postClock(r *http.Request) (any, error) {
	var body struct {
		Forward string `json:"forward"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	d, err := duration("body.forward", body.Forward, 0, 366*day)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxWait)
	defer cancel()
	if err := m.Forward(ctx, d); err != nil {
		return nil, err
	}
	return m.getClock(r)
}

// maxWait bounds what a request may wait for.
const maxWait = 30 * time.Second

// duration reads a Go duration within bounds.
func duration(where, text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && (d < least || d > most) {
		err = fmt.Errorf("%s is outside %s to %s", d, least, most)
	}
	if err != nil {
		return 0, &problem{
			status: http.StatusBadRequest, What: "the duration is none", Where: where, Why: strings.TrimPrefix(err.Error(), "time: "),
			Mend: "write it like 300ms, 90s, 15m or 36h",
		}
	}
	return d, nil
}

func (m *Meta) postSettle(r *http.Request) (any, error) {
	body := struct {
		Within string `json:"within"`
	}{"30s"}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	d, err := duration("body.within", body.Within, 0, maxWait)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), d)
	defer cancel()
	return map[string]any{"settled": m.Settle(ctx) == nil}, nil
}

// getLedger answers what was recorded after since, and waits for it where the
// caller wants that.
func (m *Meta) getLedger(r *http.Request) (any, error) {
	q := r.URL.Query()
	for key, values := range q {
		if !slices.Contains([]string{"since", "wait", "kind", "app", "customer", "edge"}, key) || len(values) != 1 {
			return nil, &problem{
				status: http.StatusBadRequest, What: "the query is not what it should be", Where: "query." + key, Why: "there is no such key, or it comes twice",
				Mend: "use since, wait, kind, app, customer and edge, each once",
			}
		}
	}
	f := filter{kind: q.Get("kind"), app: messenger.AppID(q.Get("app")), customer: messenger.PSID(q.Get("customer")), edge: q.Get("edge")}
	if !slices.Contains([]string{"", "call", "delivery", "act"}, f.kind) {
		return nil, &problem{
			status: http.StatusBadRequest, What: "the query is not what it should be", Where: "query.kind", Why: fmt.Sprintf("there is no kind %q", f.kind),
			Mend: "use call, delivery or act",
		}
	}
	since, err := strconv.ParseInt(or(q.Get("since"), "0"), 10, 64)
	if err != nil || since < 0 {
		return nil, &problem{
			status: http.StatusBadRequest, What: "the query is not what it should be", Where: "query.since", Why: fmt.Sprintf("%q is no number of an entry", q.Get("since")),
			Mend: "give the seq of the last answer",
		}
	}
	wait, err := duration("query.wait", or(q.Get("wait"), "0s"), 0, maxWait)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	var entries []Entry
	// That the wait is over is no error: then there is nothing.
	_ = m.Wait(ctx, func() bool {
		entries, since = m.entriesAfter(since, f)
		return len(entries) > 0
	})
	return map[string]any{"entries": entries, "seq": since}, nil
}

package scene

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher/messenger"
	"usher/messenger/simulator"
)

// Options say where scenes are played.
type Options struct {
	// Page is the simulated Page and the app under test. Its Clock and KeepBodies
	// are the stage's own. Without a Webhook and a WebhookURL the app under test is
	// acted by the script, and so is every other app.
	Page simulator.Options
	// Patience is how long a real bot may take to do what the scene expects. 0 is
	// for scripts without one: then nothing is waited for that is not under way.
	Patience time.Duration
	// Update waits for Patience after each line, whatever the scene expects.
	Update bool
}

// Stage is a Page on which scenes are played, one after the other.
type Stage struct {
	teller

	opt  Options
	time *simulator.Clock
	base simulator.Settings
	// closeIdle tidies the client of the deliveries.
	closeIdle func()

	// Of the scene that is played:
	origin time.Time      // midnight of the scene's first day
	last   messenger.PSID // who acted last
	played int            // scenes
}

const day = 24 * time.Hour

// deliveryTimeout is how long Meta waits for the answer to a delivery.
const deliveryTimeout = 5 * time.Second

// quiet is how long nothing must happen at a real bot before a line is over, once
// what the scene expects has come.
const quiet = 250 * time.Millisecond

// Open makes a Page to play on. Close it after use.
func Open(opt Options) (*Stage, error) {
	start := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	if opt.Patience > 0 {
		start = time.Now().UTC().Truncate(time.Second) //nolint:forbidigo // a real bot lives today
	}
	st := &Stage{opt: opt, time: simulator.StillClock(start), closeIdle: func() {}}
	page := opt.Page
	page.Clock, page.KeepBodies = st.time, true
	if page.Webhook == nil && page.WebhookURL == "" {
		page.Webhook = deaf
	}
	if page.HTTP == nil { // the clock, which stands still, ends no delivery
		page.HTTP = &http.Client{Timeout: deliveryTimeout, Transport: &http.Transport{}}
		st.closeIdle = page.HTTP.CloseIdleConnections
	}
	meta, err := simulator.New(page)
	if err != nil {
		return nil, err
	}
	st.teller = teller{meta: meta, clock: st.clockTime}
	st.base = meta.Settings()
	return st, nil
}

// deaf accepts webhooks: what they say stands in the ledger.
var deaf = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}) //nolint:gochecknoglobals // a constant

// Meta returns the Page, an [http.Handler], for the bot to call.
func (st *Stage) Meta() *simulator.Meta { return st.meta }

// Close ends the Page.
func (st *Stage) Close() {
	st.meta.Close()
	st.closeIdle()
}

// Play plays a scene and returns it with the `>` lines that came of it. Its
// customers are new ones; settings and faults begin anew.
func (st *Stage) Play(ctx context.Context, sc *Scene) (string, error) {
	st.begin(sc) //nolint:contextcheck // Meta delivers in its own time
	if err := st.set(sc.page); err != nil {
		return "", fmt.Errorf("%s: %w", sc.Name, err)
	}
	lines := map[int]*line{}
	for _, l := range sc.lines {
		lines[l.number] = l
	}
	var out strings.Builder
	for i, text := range strings.Split(strings.TrimSuffix(sc.Source, "\n"), "\n") {
		if strings.HasPrefix(text, ">") {
			continue
		}
		fmt.Fprintln(&out, text)
		l := lines[i+1]
		if l == nil {
			continue
		}
		told, err := st.play(ctx, l)
		if err != nil {
			return out.String(), fmt.Errorf("%s:%d: %w", sc.Name, l.number, err)
		}
		for _, t := range told {
			fmt.Fprintln(&out, "> "+t)
		}
	}
	return out.String(), nil
}

// begin makes the stage ready for a scene.
func (st *Stage) begin(sc *Scene) {
	st.meta.SetSettings(st.base)
	st.meta.Heal()
	st.meta.ReleaseDeliveries(max(1, st.opt.Page.Batch))
	if st.names != nil {
		for _, name := range st.names.order[1:] {
			st.meta.OtherApp(st.names.app(name)).Listen(nil) // it was in another scene
		}
	}
	inboxApp := st.opt.Page.Inbox
	if inboxApp == "" {
		inboxApp = messenger.PageInbox
	}
	st.names = &names{
		apps: map[string]messenger.AppID{sc.app: st.opt.Page.App, inbox: inboxApp, ai: messenger.BusinessAI, "lead_ads": messenger.LeadGen}, customers: map[string]messenger.PSID{},
		order: []string{sc.app}, source: sc.Source, page: string(st.opt.Page.Page),
	}
	for _, name := range sc.apps {
		id := messenger.AppID("9" + hashed(14, name))
		st.names.apps[name] = id
		st.names.order = append(st.names.order, name)
		st.meta.OtherApp(id).Listen(deaf)
		st.meta.AllowTake(id, false)
	}
	st.played++
	st.owners, st.last = map[messenger.PSID]string{}, ""
	st.origin = st.time.Now().Add(-sc.lines[0].at)
	if st.opt.Patience == 0 { // nobody minds the date: days begin at midnight
		st.origin = st.time.Now().Truncate(day).Add(day)
	}
	_, st.seen = st.read()
}

// hashed returns so many decimal digits of the hash of names.
func hashed(digits int, names ...string) string {
	h := fnv.New64a()
	for _, name := range names {
		_, _ = h.Write([]byte(name + "\x00")) // a hash takes everything
	}
	text := fmt.Sprintf("%020d", h.Sum64())
	return text[len(text)-digits:]
}

// play plays a line and returns what came of it.
func (st *Stage) play(ctx context.Context, l *line) ([]string, error) {
	if err := st.meta.Forward(ctx, st.origin.Add(l.at).Sub(st.time.Now())); err != nil {
		return nil, err
	}
	said, err := st.act(l)
	if err != nil {
		return nil, err
	}
	if err := st.settle(ctx, l, len(said)); err != nil {
		return nil, err
	}
	entries, seq := st.read()
	st.seen = seq
	return slices.Concat(said, st.tell(entries, l.who), st.control()), nil
}

// act does what a line says, and returns what its author was told: that it cannot
// be, that Meta refused, or Meta's answer.
func (st *Stage) act(l *line) (said []string, _ error) {
	if l.who == nothing {
		return nil, nil
	}
	if v, ok := metaVerbs()[l.verb]; ok && l.who == meta {
		return nil, v.do(st, l.fields)
	}
	d, err := st.deedOf(l)
	if err != nil {
		return nil, err
	}
	out, err := st.actor(l.who)(d)
	if refused, ok := errors.AsType[*simulator.GraphError](err); ok {
		return []string{"refused " + refusal(refused.Code, refused.Subcode, refused.Message)}, nil
	}
	if err != nil {
		return []string{"cannot: " + st.names.rename(err.Error())}, nil
	}
	switch l.verb {
	case "asks_owner":
		return []string{"answer: " + st.ownerAnswer(out.Answer)}, nil
	case "calls":
		return []string{"answer:" + cmp.Or(st.names.rest(out.Answer), " done")}, nil
	}
	return nil, nil
}

// actor returns what carries out the deeds of somebody.
func (st *Stage) actor(who string) func(simulator.Deed) (simulator.Outcome, error) {
	switch app, isApp := st.names.apps[who]; {
	case who == agent:
		return st.meta.Agent().Do
	case who == ai:
		return st.meta.AI().Do
	case who == meta:
		return st.meta.Do
	case isApp:
		return st.meta.OtherApp(app).Do
	}
	c := st.customer(who)
	st.last = c.PSID()
	return c.Do
}

// deedOf makes a deed of a line, with ids for names.
func (st *Stage) deedOf(l *line) (simulator.Deed, error) {
	d := simulator.Deed{Does: l.verb, Text: l.text}
	for _, f := range l.fields {
		value := f.value
		switch f.name {
		case "app":
			value = string(st.names.app(f.value))
		case "customer":
			value = string(st.customer(f.value).PSID())
		case "path", "body":
			value = braced.ReplaceAllStringFunc(value, st.id)
		}
		if err := assign(&d, f.name, value); err != nil {
			return d, err
		}
	}
	_, isApp := st.names.apps[l.who]
	if (isApp || l.who == agent || l.who == ai) && d.Customer == "" && l.verb != "calls" {
		d.Customer = st.last // whom it was about
	}
	return d, nil
}

var braced = regexp.MustCompile(`\{[a-z_0-9]+\}`)

// id returns the id of {ann} or {desk}; of nobody, what it was given.
func (st *Stage) id(name string) string {
	inner := strings.Trim(name, "{}")
	if app, ok := st.names.apps[inner]; ok {
		return string(app)
	}
	if psid, ok := st.names.customers[inner]; ok {
		return string(psid)
	}
	return name
}

// customer returns a customer of the scene, who may be new.
func (st *Stage) customer(name string) *simulator.Customer {
	psid, ok := st.names.customers[name]
	if !ok {
		seed := ""
		if st.opt.Patience > 0 { // a real bot remembers whom it met before
			seed = strconv.FormatInt(st.origin.UnixNano(), 10)
		}
		psid = messenger.PSID("7" + hashed(15, seed, strconv.Itoa(st.played), name))
		if _, met := st.owners[psid]; !met {
			st.owners[psid] = idle
		}
		st.names.customers[name] = psid
	}
	return st.meta.Customer(psid).Named(strings.ToUpper(name[:1])+name[1:], "Lee").Speaks("en_US")
}

// ErrRestless reports a bot that goes on and on, by answering itself, say.
var ErrRestless = errors.New("the bot does not come to rest")

// restless is how many times its patience a line may take in all.
const restless = 10

// settle waits until what a line causes is over. A real bot is waited for: until
// what the scene expects has come and nothing has happened since for a while.
func (st *Stage) settle(ctx context.Context, l *line, said int) error {
	if st.opt.Patience == 0 {
		return st.meta.Quiet(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, restless*st.opt.Patience,
		fmt.Errorf("%w within %s", ErrRestless, restless*st.opt.Patience))
	defer cancel()
	if err := st.meta.Quiet(ctx); err != nil {
		return err
	}
	for {
		entries, seq := st.read()
		wait := quiet
		if st.opt.Update || said+len(st.tell(entries, l.who))+len(st.controlNow()) < l.expected {
			wait = st.opt.Patience
		}
		within, cancel := context.WithTimeout(ctx, wait)
		err := st.meta.Wait(within, func() bool { _, now := st.meta.Since(seq); return now > seq })
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil { // nothing happened for so long
			return st.meta.Quiet(ctx)
		}
	}
}

// clockTime writes a time as the scene has it: 10:00, +1d 10:00:30.
func (st *Stage) clockTime(t time.Time) string {
	d := t.Sub(st.origin)
	days := int(d / day)
	text := time.Time{}.Add(d - time.Duration(days)*day).Format("15:04:05.999")
	text = strings.TrimSuffix(text, ":00")
	if days != 0 {
		text = fmt.Sprintf("+%dd %s", days, text)
	}
	return text
}

// unix is a time that Meta wrote in Unix seconds.
func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"usher/config"
	"usher/handover/redisstore"
	"usher/messenger"
	"usher/messenger/graph"
)

// fields are what the Page must be subscribed to.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
var fields = []string{ //nolint:gochecknoglobals // a table
	"messages", "messaging_postbacks", "messaging_handovers", "standby", "message_echoes", "messaging_referrals",
	"messaging_optins", "messaging_policy_enforcement", "messaging_feedback",
}

// liveTimeout bounds the whole look.
const liveTimeout = 30 * time.Second

// errUnhealthy reports that the doctor found something.
var errUnhealthy = errors.New("not everything is in order: see the lines marked ✖")

// doctor looks at what the settings name, and writes a line for each finding.
type doctor struct {
	out  io.Writer
	sick bool
}

func (d *doctor) ok(what, found string) { fmt.Fprintf(d.out, "✔ %s: %s\n", what, found) }

func (d *doctor) hint(what, say string) { fmt.Fprintf(d.out, "? %s: %s\n", what, say) }

// fault tells what is wrong, and its mend where found does not say it already.
func (d *doctor) fault(what string, found any, mend string) {
	d.sick = true
	fmt.Fprintf(d.out, "✖ %s: %v\n", what, found)
	if mend != "" {
		fmt.Fprintf(d.out, "    mend: %s\n", mend)
	}
}

// checkLive asks Redis and Meta whether the settings work. It changes nothing, but
// that a Redis that is new to us is prepared, as usher serve would.
func checkLive(ctx context.Context, cfg config.Config, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	d := &doctor{out: out}
	d.redis(ctx, cfg)
	for _, p := range cfg.Messenger.Pages {
		d.page(ctx, cfg, p)
	}
	if d.sick {
		return errUnhealthy
	}
	return nil
}

func (d *doctor) redis(ctx context.Context, cfg config.Config) {
	what := "Redis at " + cfg.Redis.Server.String()
	rdb, closeRedis, err := joinRedis(ctx, cfg.Redis)
	if errors.Is(err, errNotServed) {
		rdb, closeRedis, err = connectRedis(ctx, cfg.Redis, zerolog.Nop())
	}
	if err != nil {
		d.fault(what, err, "start it, or correct redis.url")
		return
	}
	defer closeRedis() //nolint:errcheck // only asked
	if err := rdb.Ping(ctx).Err(); err != nil {
		d.fault(what, err, "start it, or correct redis.url")
		return
	}
	store, err := newStore(cfg, rdb)
	if err != nil {
		d.fault(what, err, "")
		return
	}
	warnings, err := store.Open(ctx)
	for _, w := range warnings {
		d.hint(what, w)
	}
	for _, err := range each(err) {
		d.fault(what, err, "")
	}
	if err == nil {
		d.pauses(ctx, cfg, store)
		d.deliveries(ctx, cfg, store)
		d.ok(what, "answers, runs our scripts, and fits redis.durability "+cfg.Redis.Durability+" as far as it tells")
	}
}

// pauses tells which Pages make no calls at present, as Meta takes no more.
func (d *doctor) pauses(ctx context.Context, cfg config.Config, store *redisstore.Store) {
	ids := make([]messenger.PageID, len(cfg.Messenger.Pages))
	for i, p := range cfg.Messenger.Pages {
		ids[i] = messenger.PageID(p.ID)
	}
	pauses, err := store.Pauses(ctx, ids)
	if err != nil {
		d.fault("Pauses", err, "")
		return
	}
	for i, p := range pauses {
		if p.Left > 0 {
			d.hint(pageLabel(cfg.Messenger.Pages[i])+", calls", fmt.Sprintf("Meta takes no more for now, and all wait for another %s (%s); nothing is lost, see /pages at private_listen",
				config.FormatDuration(max(p.Left.Truncate(time.Second), time.Second)), p.Why))
		}
	}
}

// deliveries tells when Meta delivered last, as far as those who serve have noted it.
func (d *doctor) deliveries(ctx context.Context, cfg config.Config, store *redisstore.Store) {
	for _, p := range cfg.Messenger.Pages {
		what := pageLabel(p) + ", deliveries"
		w, err := store.Watch(ctx, messenger.PageID(p.ID))
		ago := func(t time.Time) string {
			return config.FormatDuration(max(w.Now.Sub(t).Truncate(time.Minute), time.Minute))
		}
		switch {
		case err != nil:
			d.fault(what, err, "")
		case !w.Owed.IsZero():
			d.hint(what, "messages were missed for the last "+ago(w.Owed)+"; usher serve looks for them")
		case len(w.Seen) == 0:
			d.hint(what, "none was noted yet")
		default:
			d.ok(what, "the last came "+ago(w.Seen[len(w.Seen)-1])+" ago")
		}
	}
}

// each takes joined errors apart.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, each(e)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func (d *doctor) page(ctx context.Context, cfg config.Config, p config.Page) {
	what := pageLabel(p)
	client, err := newGraph(cfg, p, nil)
	if err != nil {
		d.fault(what, err, "correct messenger.pages")
		return
	}
	features, err := client.Features(ctx)
	switch {
	case errors.Is(err, graph.ErrTokenDead):
		d.fault(what+", token", err, "generate a new one in the App Dashboard, Messenger > API settings, and set access_token")
		return
	case errors.Is(err, graph.ErrPermission):
		d.fault(what+", token", err, "the token needs pages_messaging and pages_manage_metadata")
		return
	case errors.Is(err, graph.ErrBadParameter), errors.Is(err, graph.ErrNoSuchPerson):
		d.fault(what, err, "is the id that of the Page which the access_token belongs to?")
		return
	case err != nil:
		d.fault(what+", Graph", err, "look at messenger.graph_url and at the network's way out, and try again")
		return
	}
	d.ok(what+", token", "accepted")
	d.routing(what, cfg, features)
	subscriptions, err := client.Subscriptions(ctx)
	if err != nil {
		d.fault(what+", subscriptions", err, "the token needs pages_manage_metadata")
		return
	}
	d.subscribed(what, cfg, subscriptions)
	if cfg.Watch.Backfill {
		d.conversations(ctx, what, client)
	}
}

// conversations tells whether what was missed could be found.
func (d *doctor) conversations(ctx context.Context, what string, client *graph.Client) {
	what += ", conversations"
	for _, err := range client.Conversations(ctx, time.Time{}, 1) {
		switch {
		case errors.Is(err, graph.ErrPermission):
			d.fault(what, err, "the token needs pages_read_engagement: what Meta does not deliver in a gap is looked for there; or set watch.backfill: false")
			return
		case err != nil:
			d.hint(what, fmt.Sprintf("not read: %v", err))
			return
		}
	}
	d.ok(what, "readable, for what Meta does not deliver in a gap")
}

// routing says what can be told about Conversation Routing. Which app is the
// default one no call tells.
func (d *doctor) routing(what string, cfg config.Config, f graph.Features) {
	switch {
	case cfg.Messenger.Routing == "zero_config":
		d.hint(what+", routing", "messenger.routing is zero_config: taking a thread back is blocked by Meta; choose a default app, and default_app here")
	case f.HopV2 || f.MessengerMultiApp:
		d.ok(what+", routing", "Conversation Routing is on")
	default:
		d.hint(what+", routing", "Meta does not say that Conversation Routing is on for this Page")
	}
	d.hint(what+", default app", "no call tells which app it is: look that it is app "+cfg.Messenger.AppID+
		", and may take control, at https://www.facebook.com/settings?tab=msgr_conversation_routing")
	d.hint(what+", automations", "switch off instant replies and away messages in Meta Business Suite: they answer beside the bot")
}

func (d *doctor) subscribed(what string, cfg config.Config, all []graph.Subscription) {
	what += ", subscriptions"
	i := slices.IndexFunc(all, func(s graph.Subscription) bool { return s.App == messenger.AppID(cfg.Messenger.AppID) })
	if i < 0 {
		d.fault(what, "the Page is not subscribed to app "+cfg.Messenger.AppID,
			"usher setup, or App Dashboard, Messenger > API settings > Webhooks: add the subscriptions "+strings.Join(fields, ", "))
		return
	}
	missing := slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return slices.Contains(all[i].Fields, f) })
	if len(missing) > 0 {
		d.fault(what, "missing "+strings.Join(missing, ", "), "usher setup, or App Dashboard, Messenger > API settings > Webhooks: add them for this Page")
		return
	}
	d.ok(what, "all there")
}

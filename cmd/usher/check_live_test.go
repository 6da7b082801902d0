package main

import (
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	"usher/handover/storetest/redistest"
	"usher/messenger/simulator"
)

// The doctor names what is wrong outside, each with its mend.
func TestCheckLive(t *testing.T) {
	t.Parallel()
	good, bad := redistest.Start(t, "--appendonly", "yes"), redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	closed := httptest.NewServer(nil)
	closed.Close()
	const fine = "✔ Page " + testPage + " (My Page)"
	tests := map[string]struct {
		meta  simulator.Options
		fails *simulator.Failure // of the conversations
		redis string
		env   map[string]string
		code  int
		says  []string // in order
		not   string
	}{
		"all_in_order": {
			redis: good,
			says: []string{
				"✔ Redis at redis://" + good + "/0: answers",
				fine + ", token: accepted", fine + ", routing: Conversation Routing is on",
				"? Page " + testPage + " (My Page), default app: no call tells", "? Page " + testPage + " (My Page), automations: ",
				fine + ", subscriptions: all there",
				fine + ", conversations: readable",
			},
			not: "✖",
		},
		"conversations_forbidden": {
			fails: &simulator.Failure{Status: 403, Code: 200}, redis: good, code: exitFailed,
			says: []string{fine + ", subscriptions: all there", "✖ Page " + testPage + " (My Page), conversations: ", "code 200", "mend: the token needs pages_read_engagement"},
		},
		"conversations_not_looked_for": {
			fails: &simulator.Failure{Status: 403, Code: 200}, redis: good, env: map[string]string{"USHER_WATCH_BACKFILL": "false"},
			says: []string{fine + ", subscriptions: all there"}, not: ", conversations",
		},
		"conversations_away": {
			fails: &simulator.Failure{Status: 500, Code: 2}, redis: good,
			says: []string{"? Page " + testPage + " (My Page), conversations: not read: "}, not: "✖",
		},
		"token_dead": {
			redis: good, env: map[string]string{"USHER_MESSENGER_PAGES_0_ACCESS_TOKEN": "expired"}, code: exitFailed,
			says: []string{"✔ Redis", "✖ Page " + testPage + " (My Page), token: ", "code 190", "mend: generate a new one"},
			not:  "expired",
		},
		"fields_missing": {
			meta: simulator.Options{Fields: []string{
				"messages", "messaging_postbacks", "message_echoes", "messaging_referrals",
				"messaging_optins", "messaging_policy_enforcement", "messaging_feedback",
			}},
			redis: good, code: exitFailed,
			says: []string{fine + ", token", "✖ Page " + testPage + " (My Page), subscriptions: missing messaging_handovers, standby\n", "mend: usher setup, or App Dashboard"},
		},
		"not_subscribed": {
			meta: simulator.Options{Fields: []string{}}, redis: good, code: exitFailed,
			says: []string{"✖ Page " + testPage + " (My Page), subscriptions: the Page is not subscribed to app " + testApp, "message_echoes"},
		},
		"no_default_app": {
			meta: simulator.Options{ZeroConfig: true}, redis: good, env: map[string]string{"USHER_MESSENGER_ROUTING": "zero_config"},
			says: []string{"? Page " + testPage + " (My Page), routing: messenger.routing is zero_config"}, not: "✖",
		},
		"graph_unreachable": {
			redis: good, env: map[string]string{"USHER_MESSENGER_GRAPH_URL": closed.URL}, code: exitFailed,
			says: []string{"✖ Page " + testPage + " (My Page), Graph: ", "connection refused", "mend: look at messenger.graph_url"},
		},
		"redis_unreachable": {
			redis: closed.Listener.Addr().String(), code: exitFailed,
			says: []string{"✖ Redis at ", "connection refused", "mend: start it, or correct redis.url", fine + ", subscriptions: all there"},
		},
		"redis_forgets": {
			redis: bad, code: exitFailed,
			says: []string{"✖ Redis at ", `maxmemory-policy is "allkeys-lru"`, "✖ Redis at ", `appendonly is "no"`, "set it in redis.conf"},
			not:  "fits redis.durability",
		},
		"settings_wrong": { // nobody is asked
			redis: good, env: map[string]string{"USHER_MESSENGER_APP_ID": "x"}, code: exitUsage, says: []string{"✖ "}, not: "Redis",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			meta, graphURL := newTestMeta(t, tt.meta)
			if tt.fails != nil {
				meta.FailNext(simulator.EdgeConversations, *tt.fails)
			}
			w := newWorldOn(t, tt.redis, graphURL)
			maps.Copy(w.env, tt.env)
			code, out, errs := exec(t, w.env, "check", "--live", "--config", w.config)
			if code != tt.code {
				t.Errorf("usher check --live exits %d, want %d: %s", code, tt.code, errs)
			}
			rest := out
			for _, want := range tt.says {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("usher check --live lacks %q where it belongs:\n%s", want, out)
				}
				rest = after
			}
			if tt.not != "" && strings.Contains(out+errs, tt.not) {
				t.Errorf("usher check --live prints %q:\n%s%s", tt.not, out, errs)
			}
		})
	}
}

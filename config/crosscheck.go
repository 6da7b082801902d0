package config

import (
	"net"
	"strconv"
	"strings"
)

// crossCheck holds settings against each other.
func (l *loader) crossCheck() {
	l.checkListeners()
	l.checkTimes()
	l.checkPages()
	l.checkTarget()
	l.checkKeywords()
	l.checkRedis()
	if gone := lastServed(l.cfg.Messenger.GraphVersion); gone != "" {
		l.warn("messenger.graph_version", "Meta serves %s until %s: write a newer one", l.cfg.Messenger.GraphVersion, gone)
	}
	if l.cfg.Messenger.Routing == "zero_config" {
		l.warn("messenger.routing", "without a default app every connected app may answer, and Meta refuses to take a thread back: choose a default app in the Page's settings")
	}
}

func (l *loader) checkListeners() {
	c := l.cfg
	if c.Listen == c.PrivateListen && !strings.HasSuffix(c.Listen, ":0") && !l.bad["listen"] {
		l.fault("private_listen", "the same address as listen: give it a port of its own")
	}
	host, _, err := net.SplitHostPort(c.PrivateListen)
	switch {
	case err != nil || isLoopback(host):
	case l.bad["private_token"] || l.placeholder["private_token"]:
	case c.PrivateToken == "":
		l.fault("private_listen", "%q is reachable from outside: set private_token (or %s), or listen on 127.0.0.1", c.PrivateListen, variable("private_token"))
	case len(c.PrivateToken) < 16:
		l.warn("private_token", "shorter than 16 characters: make one with openssl rand -hex 32")
	}
}

func (l *loader) checkTimes() {
	p, o := l.cfg.Partitions, l.cfg.Outbox
	if l.fine("partitions.renew", "partitions.lease") && p.Renew*3 > p.Lease {
		l.fault("partitions.renew", "%s is more than a third of partitions.lease (%s): one lost renewal would lose the lease",
			FormatDuration(p.Renew), FormatDuration(p.Lease))
	}
	if l.fine("outbox.call_timeout", "partitions.margin", "partitions.lease") && o.CallTimeout+p.Margin >= p.Lease {
		l.fault("outbox.call_timeout", "%s and partitions.margin (%s) do not fit into partitions.lease (%s): a call could outlive the lease",
			FormatDuration(o.CallTimeout), FormatDuration(p.Margin), FormatDuration(p.Lease))
	}
	if l.fine("outbox.call_timeout", "stop_timeout") && l.cfg.StopTimeout < o.CallTimeout {
		l.warn("stop_timeout", "%s is less than outbox.call_timeout (%s): a stop may cut a call off, which is then settled by its echo",
			FormatDuration(l.cfg.StopTimeout), FormatDuration(o.CallTimeout))
	}
	if l.fine("handover.time_limit.after") && l.cfg.Handover.TimeLimit.After == 0 {
		l.warn("handover.time_limit", "0 is no limit: a customer whose agent forgets Done waits until Meta lets the thread fall idle")
	}
}

// fine tells whether none of the paths has a fault.
func (l *loader) fine(paths ...string) bool {
	for _, p := range paths {
		if l.bad[p] {
			return false
		}
	}
	return true
}

func (l *loader) checkPages() {
	first := map[string]int{}
	for i, p := range l.cfg.Messenger.Pages {
		path := item("messenger.pages", i) + ".id"
		before, known := first[p.ID]
		switch {
		case p.ID == "":
		case known:
			l.fault(path, "the same Page as messenger.pages[%d]: keep one of the two", before)
		default:
			first[p.ID] = i
		}
	}
}

func (l *loader) checkTarget() {
	h, m := l.cfg.Handover, l.cfg.Messenger
	for name, id := range h.Targets {
		path := join("handover.targets", name)
		switch {
		case name == "" || name == "inbox" || isID(name):
			l.fault(path, "%q cannot be a name: inbox and app ids stand for themselves", name)
		case !isID(id):
			l.fault(path, "%q is not an app id: those are digits only", id)
		}
	}
	target := h.TargetApp()
	switch {
	case !l.fine("handover.target", "handover.targets"):
	case target == "" && len(h.Targets) > 0:
		l.fault("handover.target", "%q is neither inbox, an app id nor a name under handover.targets (%s)", h.Target, h.names())
	case target == "":
		l.fault("handover.target", "%q is neither inbox nor an app id, and handover.targets has no names", h.Target)
	case target == m.AppID:
		l.fault("handover.target", "is messenger.app_id, our own app: a handoff would reach nobody")
	default:
		for i, app := range m.IgnoreApps {
			if app == target {
				l.fault(item("messenger.ignore_apps", i), "is handover.target: agents there would not be heard, and the bot would talk over them")
			}
		}
	}
}

// checkKeywords refuses a word that leads both ways.
func (l *loader) checkKeywords() {
	there := map[string]bool{}
	for _, word := range l.cfg.Handover.TalkToHuman.Keywords {
		there[foldKeyword(word)] = true
	}
	for i, word := range l.cfg.Handover.BackToBot.Keywords {
		if there[foldKeyword(word)] {
			l.fault(item("handover.back_to_bot.keywords", i), "%q also stands in handover.talk_to_human.keywords: a word leads one way only", word)
		}
	}
}

func foldKeyword(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

func (l *loader) checkRedis() {
	r := l.cfg.Redis
	switch {
	case !l.fine("redis.url", "redis.durability"):
	case r.Server.Kind == Embedded && r.Durability == "replicated":
		l.fault("redis.durability", "an embedded Redis has no replicas: use standard or strict")
	case r.Durability == "memory":
		l.warn("redis.durability", "memory: what Redis has not written to disk is lost when it restarts, and with it who answers which thread")
	}
}

// lastServed returns until when Meta serves a version, "" when that is far off.
//
// https://developers.facebook.com/docs/graph-api/changelog
func lastServed(version string) string {
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	n, err := strconv.Atoi(major)
	switch {
	case err != nil || n > 22:
		return ""
	case n == 22:
		return "20 May 2027"
	case n == 21:
		return "21 January 2027"
	}
	return "24 September 2026 at the latest"
}

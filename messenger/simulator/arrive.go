package simulator

import (
	"maps"
	"time"

	"usher/messenger"
)

// How customers come to a thread, and which app gets it for that.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing

// arrival is how she came, until she acts.
type arrival struct {
	referral referral
	to       messenger.AppID // who gets the thread; "" leaves it where it is
	span     time.Duration   // for how long
}

// Where a referral comes from.
const (
	sourceLink = "SHORTLINK"
	sourceAd   = "ADS"
)

// RouteLink gives threads that customers enter by the m.me link with that ref to
// an app; "" ends that. It has no effect without a default app.
func (m *Meta) RouteLink(ref string, to messenger.AppID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	links := maps.Clone(m.links)
	links[ref] = to
	m.setRoutes(m.defaultApp, m.social, links)
}

// RouteSocial gives an app the threads that nobody controls, once a customer who
// has not acted for 24 h acts in it without having come by a link or an ad; "" ends
// that. It has no effect without a default app.
func (m *Meta) RouteSocial(to messenger.AppID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setRoutes(m.defaultApp, to, m.links)
}

// setRoutes connects the apps that get threads. The lock is held.
func (m *Meta) setRoutes(defaultApp, social messenger.AppID, links map[string]messenger.AppID) {
	m.defaultApp, m.social, m.links = defaultApp, social, map[string]messenger.AppID{}
	for ref, to := range links {
		if to != "" {
			m.links[ref] = m.connect(to).id
		}
	}
	for _, to := range []messenger.AppID{defaultApp, social} {
		if to != "" {
			m.connect(to)
		}
	}
}

// Enters follows the link m.me/PAGE?ref=…. In a thread that she has written in,
// that opens the window, and the apps get a referral at once. Otherwise it goes
// with her first act: inside the postback of Get Started and the like, or before
// her message.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/discovery/m-me-links
func (c *Customer) Enters(ref string) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	came := &arrival{referral: referral{Ref: ref, Source: sourceLink, Type: openThread}, span: day}
	if c.m.defaultApp != "" {
		came.to = c.m.links[ref]
	}
	c.t.came = came
	if len(c.t.lines) > 0 {
		c.m.customerActs(c.t)
		if came := c.t.arrived(); came != nil {
			c.m.tellReferral(c.t, *came, nil)
		}
	}
	c.m.record(Entry{Act: &Act{Who: "customer", What: "enters", Text: ref, PSID: c.t.psid}})
}

// openThread is the type of every referral but a lead's.
const openThread = "OPEN_THREAD"

// Ad is an ad that opens Messenger.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/conversation-routing/messenger-lead-ads
type Ad struct {
	ID, Ref, Title string
	// App is its receiving_app_id, which gets the thread. Empty leaves the thread
	// where it is.
	App messenger.AppID
	// Days is its receiving_app_control_expiration: how many days after her last act
	// App keeps control, until the next change of control. What is outside 1 to
	// Doubts.AdDays counts as 1.
	Days int
}

// ComesFromAd taps an ad. That alone does not open the window. In a thread that
// she has written in, the apps get a referral at once; her next message or postback
// carries it in any case.
func (c *Customer) ComesFromAd(ad Ad) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	came := &arrival{
		referral: referral{Ref: ad.Ref, AdID: ad.ID, Source: sourceAd, Type: openThread},
		to:       ad.App, span: c.m.adSpan(ad.Days),
	}
	if ad.Title != "" {
		came.referral.Ad = &adContext{Title: ad.Title}
	}
	if ad.App != "" {
		c.m.connect(ad.App)
	}
	c.t.came = came
	if len(c.t.lines) > 0 {
		c.m.route(c.t)
		c.m.tellReferral(c.t, came.referral, nil)
	}
	c.m.record(Entry{Act: &Act{Who: "customer", What: "comes from an ad", Text: ad.ID, PSID: c.t.psid}})
}

// adSpan is how long an ad of so many days gives control.
func (m *Meta) adSpan(days int) time.Duration {
	if days < 1 || days > m.opt.Doubts.AdDays {
		days = 1
	}
	return time.Duration(days) * day
}

// route gives the thread to the app that the way into it leads to. Nobody is told.
func (m *Meta) route(t *thread) {
	idle := m.owner(t) == ""
	switch came := t.came; {
	case came != nil:
		if came.to != "" && (idle || !m.opt.Doubts.EntryNeedsIdle) {
			m.giveFor(t, came.to, came.span)
		}
		came.to = "" // once
	case idle && m.social != "" && m.defaultApp != "" && !t.open(m.now(), day):
		m.give(t, m.social)
	}
}

// arrived returns how she came, once; nil for no way that an app is told of.
func (t *thread) arrived() *referral {
	came := t.came
	t.came = nil
	if came == nil || came.referral.Source == sourceLink && came.referral.Ref == "" {
		return nil
	}
	return &came.referral
}

func (m *Meta) tellReferral(t *thread, r referral, filled *lead) {
	m.tellEach(t, event{kind: messenger.KindReferral, field: fieldReferrals, item: item{Referral: &r, Lead: filled}})
}

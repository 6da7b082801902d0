// Package graph calls Meta's Graph API for one Page: it sends, moves thread
// control, reads who has it, and turns every answer into an error with a
// meaning.
//
// A [Client] makes each call once. Whether and when to call again is the
// caller's judgement, and [Error] gives what it needs: a sentinel that errors.Is
// matches, and how long Meta asks to wait. The sentinel that matters most is
// [ErrUnknownOutcome]: the request may have been carried out, so who repeats it
// blindly may say a thing twice.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/send-api
package graph

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher/messenger"
)

// Defaults of [Options].
const (
	DefaultBaseURL = "https://graph.facebook.com"
	// DefaultVersion is the newest version at the time of writing.
	// https://developers.facebook.com/docs/graph-api/changelog
	DefaultVersion = "v26.0"
	DefaultTimeout = 8 * time.Second
)

// Options are what a [Client] is made of. Page, Token and AppSecret are
// required. Printing Options shows neither Token nor AppSecret.
type Options struct {
	Page messenger.PageID
	// Token is the Page's access token. It travels in the Authorization header
	// only.
	Token string
	// AppSecret is the secret of the app that Token belongs to. Each call proves
	// that we know it (appsecret_proof), whether or not the app's "Require App
	// Secret" is on.
	//
	// https://developers.facebook.com/docs/graph-api/guides/secure-requests
	AppSecret string
	// BaseURL is where Graph is. Plain http is accepted on loopback only.
	// Defaults to [DefaultBaseURL].
	BaseURL string
	// Version is vNN.N. Defaults to [DefaultVersion].
	Version string
	// Transport makes the calls. It must follow no redirects: the token goes to the
	// host that the operator named, and no POST is made twice. Defaults to one that
	// all clients share.
	Transport http.RoundTripper
	// Timeout bounds each call, from its start until the answer is read. Upload
	// adds the time in which Meta fetches the media. Defaults to
	// [DefaultTimeout].
	Timeout time.Duration
	// Now returns the current time; pauses count from it. Defaults to [time.Now].
	Now func() time.Time
	// Observe, where given, is told of each call once it has ended. It must be quick
	// and safe for concurrent use.
	Observe func(Call)
}

// Call is a call that has ended.
type Call struct {
	Edge string // one of [Edges]
	Err  error  // nil where Meta answered without an error
	Took time.Duration
}

// Format prints o without its secrets, whatever the verb.
func (o Options) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "graph.Options(Page %s at %s/%s)", o.Page, o.BaseURL, o.Version)
}

// Client calls Graph for one Page. It is safe for concurrent use. Printing it
// shows no secret.
type Client struct {
	exchanger

	page      string
	root      *url.URL // ends in the version and a slash
	timeout   time.Duration
	now       func() time.Time
	observe   func(Call)
	exchanges sync.Pool // of *exchange
	// secrets are behind a function because fmt prints what is in a field.
	secrets  func() secrets
	told     atomic.Pointer[told]
	usage    atomic.Pointer[Usage]
	noLocale atomic.Bool // the app may not read a customer's locale
}

// secrets are what must appear in no print, log or error.
type secrets struct {
	token, appSecret, proof string
	// The headers of calls without and with a body, also as they are on the wire;
	// nobody may change them.
	bare, full           http.Header
	bareLines, fullLines string
}

// Format prints the Page and where Graph is, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "graph.Client(Page %s at %s)", c.page, c.root)
}

// errOption reports missing or impossible options.
var errOption = errors.New("graph options")

// New returns a Client, or an error that names every bad option.
func New(o Options) (*Client, error) {
	o.BaseURL = cmp.Or(o.BaseURL, DefaultBaseURL)
	o.Version = cmp.Or(o.Version, DefaultVersion)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of what is injected
	}
	if o.Observe == nil {
		o.Observe = func(Call) {}
	}
	if faults := o.faults(); len(faults) > 0 {
		return nil, fmt.Errorf("%w: %s", errOption, strings.Join(faults, "; "))
	}
	root, err := url.Parse(strings.TrimSuffix(o.BaseURL, "/") + "/" + o.Version + "/")
	if err != nil {
		return nil, fmt.Errorf("%w: BaseURL is not a URL", errOption) // the cause would print it
	}
	s := newSecrets(o)
	c := &Client{
		page:      string(o.Page),
		root:      root,
		timeout:   o.Timeout,
		now:       o.Now,
		observe:   o.Observe,
		exchanges: sync.Pool{New: func() any { return new(exchange) }},
		secrets:   func() secrets { return s },
	}
	c.exchanger = newExchanger(o.Transport, root, c.secrets)
	return c, nil
}

func newSecrets(o Options) secrets {
	s := secrets{token: o.Token, appSecret: o.AppSecret, proof: proof(o.AppSecret, o.Token)}
	s.bare = http.Header{"Authorization": {"Bearer " + o.Token}, "Accept": {"application/json"}, "User-Agent": {"usher"}}
	s.full = s.bare.Clone()
	s.full.Set("Content-Type", "application/json")
	var lines strings.Builder
	_ = s.bare.Write(&lines) // a Builder takes everything
	s.bareLines = lines.String()
	lines.Reset()
	_ = s.full.Write(&lines) // likewise
	s.fullLines = lines.String()
	return s
}

// faults explains what is wrong with o, without showing a secret.
func (o Options) faults() []string {
	var faults []string
	if o.Page == "" || strings.Trim(string(o.Page), "0123456789") != "" {
		faults = append(faults, fmt.Sprintf("Page %q is not an id: want digits", o.Page))
	}
	if o.Token == "" || strings.ContainsFunc(o.Token, notPrintable) {
		faults = append(faults, "Token is missing, or has spaces or unprintable characters")
	}
	if o.AppSecret == "" {
		faults = append(faults, "AppSecret is missing")
	}
	if fault := baseURLFault(o.BaseURL); fault != "" {
		faults = append(faults, "BaseURL "+fault)
	}
	if ok, err := regexp.MatchString(`^v[0-9]+\.[0-9]+$`, o.Version); !ok || err != nil {
		faults = append(faults, fmt.Sprintf("Version %q: want vNN.N", o.Version))
	}
	if o.Timeout < 0 {
		faults = append(faults, fmt.Sprintf("Timeout %v is negative", o.Timeout))
	}
	return faults
}

// notPrintable tells whether r has no place in a header's value.
func notPrintable(r rune) bool { return r <= ' ' || r > '~' }

// baseURLFault says what is wrong with a base URL, without showing it: it might
// hold a password.
func baseURLFault(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "is not a URL"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "has a user, a query or a fragment"
	case u.Hostname() == "":
		return "has no host"
	case u.Scheme == "https", u.Scheme == "http" && onLoopback(u.Hostname()):
		return ""
	case u.Scheme == "http":
		return "is plain http, which is for loopback only: others could read the token"
	}
	return "does not begin with https://"
}

func onLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// proof returns the appsecret_proof of a token: hex(HMAC-SHA256(secret, token)).
func proof(secret, token string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token)) // a hash never fails
	return hex.EncodeToString(mac.Sum(nil))
}

package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What an error of Graph means. An [Error] matches at most one of them.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/error-codes
var (
	// ErrNotOwner: another app controls the thread. Read [Client.Owner]; repeating
	// the call does not help.
	ErrNotOwner = errors.New("another app controls the thread")
	// ErrOutsideWindow: the customer's last act is more than 24 hours ago.
	ErrOutsideWindow = errors.New("outside the window for messages")
	// ErrBlocked: the customer cannot be reached: blocked the Page, is gone, or
	// was sent as much as Meta lets us. Say nothing until they write again.
	ErrBlocked = errors.New("the customer cannot be reached")
	// ErrRateLimited: too many calls for this Page or app. RetryAfter says for how
	// long to pause; 0 means that Meta did not.
	ErrRateLimited = errors.New("too many calls")
	// ErrTokenDead: the Page token is invalid, expired or revoked. An operator
	// must put in a new one.
	ErrTokenDead = errors.New("the Page token is not valid")
	// ErrTakeRefused: control may not be taken: the Page has no default app, or
	// the app may not take control.
	ErrTakeRefused = errors.New("taking control is not allowed")
	// ErrBadParameter: Meta does not accept what was sent, or we did not send it
	// for that reason. It is a bug, a text that is too long, media that Meta
	// cannot fetch, or a feature that this customer's thread does not have.
	ErrBadParameter = errors.New("bad parameter")
	// ErrPermission: a permission or a setting of the app or the Page is missing.
	ErrPermission = errors.New("permission or setting is missing")
	// ErrPageRestricted: Meta restricts what the Page may send.
	ErrPageRestricted = errors.New("the Page is restricted")
	// ErrNoSuchPerson: the PSID means nobody to this Page and app, or nobody whose
	// profile Meta shows. If it happens often, Page and token do not belong together.
	ErrNoSuchPerson = errors.New("no such person")
	// ErrTransient: the call was not carried out and may be made again.
	ErrTransient = errors.New("temporary failure")
	// ErrUnknownOutcome: the call may have been carried out or not, for the answer
	// was lost or says nothing. Only a POST ends like this. Look for the echo of a
	// message, or at the thread's owner, before repeating it.
	ErrUnknownOutcome = errors.New("unknown outcome")
)

// Error is a call that did not succeed. errors.Is tells what it means.
type Error struct {
	Edge          string // "messages", "take_thread_control", …
	Status        int    // HTTP; 0 when no answer was read
	Code, Subcode int    // Meta's; Code may be negative and is 0 when the answer held no Graph error
	Type          string // Meta's, "OAuthException" mostly
	// Message is Meta's, in whatever language. It is "" when it quoted a secret or
	// what was said.
	Message string
	TraceID string // fbtrace_id: what Meta's support asks for
	// Transient is Meta's own opinion (is_transient).
	Transient bool
	// RetryAfter is how long to wait at least; 0 when Meta did not say. At most a day.
	RetryAfter time.Duration

	post   bool   // repeating the call is not safe
	kind   error  // what it means; nil to ask classify
	cause  error  // where there was no answer, or an unreadable one
	detail string // of cause, fit for print
}

// Error holds codes and Meta's words. It quotes neither secrets nor what was said,
// and names no customer.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("graph " + e.Edge + ": ")
	if kind := e.meaning(); kind != nil {
		b.WriteString(kind.Error())
	} else {
		b.WriteString("refused")
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.Status)
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, ", code %d", e.Code)
	}
	if e.Subcode != 0 {
		fmt.Fprintf(&b, "/%d", e.Subcode)
	}
	for _, s := range []string{e.Message, e.detail} {
		if s != "" {
			b.WriteString(": " + s)
		}
	}
	if e.TraceID != "" {
		b.WriteString(" (trace " + e.TraceID + ")")
	}
	return b.String()
}

// Outcome names what the end of a call means, in one word: "ok", "not_owner",
// "outside_window", "blocked", "rate_limited", "token_dead", "take_refused",
// "bad_parameter", "permission", "page_restricted", "no_such_person", "transient",
// "unknown", "not_made" where the context ended before it, or "refused" for what
// nobody knows.
func Outcome(err error) string {
	if err == nil {
		return "ok"
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return "not_made"
	}
	switch e.meaning() {
	case ErrNotOwner: //nolint:errorlint // sentinels are compared by identity
		return "not_owner"
	case ErrOutsideWindow:
		return "outside_window"
	case ErrBlocked:
		return "blocked"
	case ErrRateLimited:
		return "rate_limited"
	case ErrTokenDead:
		return "token_dead"
	case ErrTakeRefused:
		return "take_refused"
	case ErrBadParameter:
		return "bad_parameter"
	case ErrPermission:
		return "permission"
	case ErrPageRestricted:
		return "page_restricted"
	case ErrNoSuchPerson:
		return "no_such_person"
	case ErrTransient:
		return "transient"
	case ErrUnknownOutcome:
		return "unknown"
	}
	return "refused"
}

// Unwrap returns why there was no answer, or none that could be read.
func (e *Error) Unwrap() error { return e.cause }

// Is tells whether e means target, one of this package's errors, so that callers
// never compare code numbers.
func (e *Error) Is(target error) bool { return target != nil && e.meaning() == target }

// WholePage tells whether e says less about the call than about its Page or token:
// every other call will be refused as well, until somebody mends it.
func (e *Error) WholePage() bool {
	switch e.meaning() {
	case ErrTokenDead, ErrPageRestricted: //nolint:errorlint // sentinels are compared by identity
		return true
	case ErrPermission:
		// Who may not read a profile or move control may still write.
		return e.Edge == edgeMessages && (missesPermission(e.Subcode) || e.Subcode == 0 && missesPermission(e.Code))
	}
	return false
}

// missesPermission knows the numbers by which Meta says that the app or its token
// may not write to the Page's customers at all.
func missesPermission(n int) bool {
	switch n {
	case 2018028, 2018027, 2018021, 2534041, 3, 10:
		return true
	}
	return n >= 200 && n < 300
}

func (e *Error) meaning() error {
	if e.kind != nil {
		return e.kind
	}
	return e.classify()
}

// decode reads Meta's error object:
//
//	{"message":"(#10) …","type":"OAuthException","code":10,"error_subcode":2018300,"is_transient":false,"fbtrace_id":"A…"}
func (e *Error) decode(raw json.RawMessage) error {
	var wire struct {
		Message   string      `json:"message"`
		Type      string      `json:"type"`
		Code      json.Number `json:"code"` // also takes a quoted number
		Subcode   json.Number `json:"error_subcode"`
		Transient bool        `json:"is_transient"`
		TraceID   string      `json:"fbtrace_id"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return fmt.Errorf("error object: %w", err)
	}
	e.Message, e.Type, e.TraceID, e.Transient = wire.Message, wire.Type, wire.TraceID, wire.Transient
	var err error
	if e.Code, err = number(wire.Code); err == nil {
		e.Subcode, err = number(wire.Subcode)
	}
	return err
}

// number reads a code; one that is absent is 0.
func number(n json.Number) (int, error) {
	if n == "" {
		return 0, nil
	}
	return strconv.Atoi(n.String())
}

// classify is the only place that knows Meta's numbers. The subcode says most,
// then the code; what one code is used for with several meanings is told apart
// by Meta's words; the HTTP status decides about what remains. It returns nil
// for an error that nobody knows: it is not worth repeating.
func (e *Error) classify() error {
	kind := e.byNumber()
	switch {
	case kind != nil:
	case e.Status == http.StatusTooManyRequests:
		kind = ErrRateLimited
	case e.Transient:
		kind = ErrTransient
	default:
		kind = e.byStatus()
	}
	// A machine on the way gave up on the one that does the work, which may have
	// done it.
	gateway := e.Status == http.StatusBadGateway || e.Status == http.StatusGatewayTimeout
	if e.post && gateway && kind == ErrTransient { //nolint:errorlint // sentinels are compared by identity
		return ErrUnknownOutcome
	}
	return kind
}

func (e *Error) byNumber() error {
	for _, n := range []int{e.Subcode, e.Code} { // Meta sends subcodes also as the code
		if kind := bySubcode(n); kind != nil {
			return kind
		}
	}
	if kind := e.byWords(); kind != nil {
		return kind
	}
	return e.byCode()
}

// bySubcode knows the subcodes that mean the same under every code they come
// with, but for the three-digit ones.
func bySubcode(n int) error {
	switch n {
	case 2018300, 2534037, // Instagram's number
		2018321: // the questions of a lead ad have the thread
		return ErrNotOwner
	case 2018278, 2018065, 2534022:
		return ErrOutsideWindow
	case 2018108, 1545041, // one of Meta's pages says "outside the window" for it, the newer "unavailable"
		2018338, 2018354, 2018352, 1893016, // too often to this person
		10900, 10903, 10904, 9000001: // the comment cannot be answered
		return ErrBlocked
	case 2534040:
		return ErrRateLimited
	case 1893063, 1404170, 2534029:
		return ErrPageRestricted
	case 2018028, 2018027, 2018021, 2534041,
		2018164,          // no such app to pass to
		2018171, 2018234, // for primary and secondary receivers only
		2018247, // profiles
		2018344: // the terms for labels were not accepted
		return ErrPermission
	case 2018001, 2018218:
		return ErrNoSuchPerson
	case 2018109, 2018008, 2018047, 2018074, 2018294, // media: size, fetch, type, id, video
		2018336: // not for this person's region
		return ErrBadParameter
	case 1357046: // "invalid JSON reply", though all was sent
		return ErrUnknownOutcome
	}
	return nil
}

// byWords tells apart what codes 10 and 100 are used for when they come without
// a subcode. In other languages the code alone decides.
func (e *Error) byWords() error {
	if e.Code != 10 && e.Code != 100 {
		return nil
	}
	said := strings.ToLower(e.Message)
	switch {
	case strings.Contains(said, "calling app is not the thread owner"),
		strings.Contains(said, "another app is controlling this thread"):
		return ErrNotOwner
	case strings.Contains(said, "outside of allowed window"):
		return ErrOutsideWindow
	}
	return nil
}

func (e *Error) byCode() error {
	switch c := e.Code; {
	case c == -1, c == 1, c == 2,
		c == 1200: // https://developers.facebook.com/docs/messenger-platform/reference/send-api/error-codes
		return ErrTransient
	case c == 4, c == 17, c == 32, c == 613, c == 80001, c == 80006:
		return ErrRateLimited
	case c == 27 && e.Edge == edgeTake:
		return ErrTakeRefused
	case c == 551:
		return ErrBlocked
	case c == 368, c == 2022:
		return ErrPageRestricted
	case c == 190:
		return ErrTokenDead
	case c == 100 && e.Subcode == 33:
		return ErrNoSuchPerson
	case c == 100:
		return ErrBadParameter
	case c == 3, c == 10, c == 27, c >= 200 && c < 300: // https://developers.facebook.com/docs/graph-api/guides/error-handling
		return ErrPermission
	}
	return nil
}

// byStatus judges an answer without a code that we know. A server error without
// a Graph error may come from any machine on the way, before or after the deed;
// with one, Graph itself says that it did not succeed.
func (e *Error) byStatus() error {
	switch s := e.Status; {
	case e.post && e.Code == 0 && (s >= 500 || s/100 == 2):
		return ErrUnknownOutcome
	case s >= 500, s == http.StatusRequestTimeout:
		return ErrTransient
	case e.Code != 0:
		return nil
	case s/100 == 2:
		return ErrTransient
	case s == http.StatusUnauthorized:
		return ErrTokenDead
	case s == http.StatusForbidden:
		return ErrPermission
	case s == http.StatusRequestEntityTooLarge:
		return ErrBadParameter
	}
	return nil
}

// withhold drops what Meta, or a machine on the way, said if it quotes a secret
// or the conversation ("Malformed access token EAAB…"), and the customer's id from
// what it said ("Object with ID '…' does not exist").
func (c *Client) withhold(e *Error, k call) {
	s := c.secrets()
	kept := []string{s.token, s.appSecret, s.proof}
	if said, ok := k.body.(speaker); ok {
		kept = append(kept, said.words()...)
	}
	for _, said := range []*string{&e.Message, &e.Type, &e.TraceID} {
		if quotes(*said, kept) {
			*said = ""
		}
	}
	if quotes(e.detail, kept) {
		e.detail, e.cause = "what went wrong is withheld: it quotes what was sent", nil
	}
	if person := string(k.person); person != "" {
		if strings.Contains(e.detail, person) {
			e.cause = nil
		}
		for _, said := range []*string{&e.Message, &e.Type, &e.TraceID, &e.detail} {
			*said = strings.ReplaceAll(*said, person, "…")
		}
	}
}

// quotes tells whether said holds 20 bytes in a row of one of kept, or all of it
// where it is shorter. Less than 6 bytes are no quotation: "is" is in everything.
func quotes(said string, kept []string) bool {
	const long, short = 20, 6
	for _, k := range kept {
		for i := 0; i == 0 || i+long <= len(k); i++ {
			if part := k[i:min(i+long, len(k))]; len(part) >= short && strings.Contains(said, part) {
				return true
			}
		}
	}
	return false
}

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"syscall"
	"time"
)

// hop is one step of the way to a service.
type hop struct {
	Hop    string  `json:"hop"`   // "dns", "tcp", "greeting" (MySQL's own word before TLS), "proxy", "tls", "login"
	State  string  `json:"state"` // "ok", "warning", "fault", "not reached", "not needed"
	TookMS float64 `json:"took_ms"`
	Text   string  `json:"text,omitempty"`
	Advice string  `json:"advice,omitempty"`
}

// walk watches one real connection on its way, by the marks that the standard library offers to whoever dials, so that
// nothing is dialed that the agent itself wouldn't dial:
//
//	dns ends, and tcp begins     when the first address is dialed (httptrace)
//	tcp ends                     when a connection is there (httptrace)
//	greeting or proxy ends       when TLS looks for an earlier session, which is the first thing it does
//	tls ends                     when the certificate was verified
//	login ends                   when the caller has what it wants
type walk struct {
	names []string // of the hops, in order

	mu    sync.Mutex
	began time.Time
	end   map[string]time.Time
	text  map[string]string
	to    string // the address that was dialed last
	name  bool   // there was a name to look up
}

func newWalk(names ...string) *walk {
	return &walk{names: names, began: time.Now(), end: map[string]time.Time{}, text: map[string]string{}}
}

// reached notes the end of a hop.
func (w *walk) reached(name, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.end[name].IsZero() {
		w.end[name], w.text[name] = time.Now(), text
	}
}

// watch lets the walk see what is dialed with the context.
func (w *walk) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.name = true
		},
		ConnectStart: func(_, addr string) {
			w.reached("dns", addr)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.to = addr
		},
		ConnectDone: func(_, addr string, err error) {
			if err == nil {
				w.reached("tcp", addr)
			}
		},
	})
}

// tls lets the walk see the handshakes of cfg, nil for the usual one.
func (w *walk) tls(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg = cfg.Clone()
	cfg.ClientSessionCache = noSessions{w}
	verify := cfg.VerifyConnection
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		if verify != nil {
			if err := verify(s); err != nil {
				return err
			}
		}
		w.reached("tls", certified(s))
		return nil
	}
	return cfg
}

// noSessions keeps no session, and sees when one is looked for.
type noSessions struct{ *walk }

func (n noSessions) Get(string) (*tls.ClientSessionState, bool) {
	n.reached("greeting", "")
	n.reached("proxy", "")
	return nil, false
}

func (noSessions) Put(string, *tls.ClientSessionState) {}

func certified(s tls.ConnectionState) string {
	text := tls.VersionName(s.Version)
	if len(s.PeerCertificates) > 0 {
		text += ", certificate until " + s.PeerCertificates[0].NotAfter.Format(time.DateOnly)
	}
	return text
}

// hops tells how far the walk came, if err is what it ended with.
func (w *walk) hops(err error) (list []hop) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if alerted(err) {
		delete(w.end, "tls") // it was over for us only
	}
	last, broken := w.began, false
	for n, name := range w.names {
		at, there := w.end[name]
		h := hop{Hop: name, State: "ok", Text: w.text[name]}
		switch {
		case broken:
			h.State = "not reached"
		case name == "dns" && there && !w.name:
			h.State, h.Text = "not needed", "the address is a number"
		case there:
		case err == nil:
			at = time.Now()
		case n+1 < len(w.names) && w.names[n+1] == "tls" && isTLS(err): // it was refused before it began
			at = last
		default:
			broken, at = true, time.Now()
			h.State, h.Text, h.Advice = "fault", oneLine(err.Error()), w.advice(name, err)
		}
		if !broken || h.State == "fault" {
			h.TookMS = float64(max(0, at.Sub(last)).Microseconds()) / 1000
			last = at
		}
		list = append(list, h)
	}
	return list
}

// isTLS tells whether err comes of a certificate or a handshake.
func isTLS(err error) bool {
	_, verified := errors.AsType[*tls.CertificateVerificationError](err)
	return verified || plain(err) || alerted(err)
}

// plain tells whether the other side answered without TLS.
func plain(err error) bool {
	_, header := errors.AsType[tls.RecordHeaderError](err)
	return header || errors.Is(err, http.ErrSchemeMismatch)
}

// alerted tells whether the other side ended a handshake. It may do so after ours was over.
func alerted(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "remote error"
}

// advice says what to look at if a hop failed.
func (w *walk) advice(name string, err error) string {
	lost, _ := errors.AsType[*net.DNSError](err)
	timeout, _ := errors.AsType[net.Error](err)
	slow := errors.Is(err, context.DeadlineExceeded) || timeout != nil && timeout.Timeout()
	switch {
	case name == "dns" && lost != nil && lost.IsNotFound:
		return fmt.Sprintf("is the name right, and does this network's DNS know it? (getent hosts %s)", lost.Name)
	case name == "dns":
		return "the network's DNS doesn't answer: check cable, address and name servers of this machine"
	case name == "tcp" && errors.Is(err, syscall.ECONNREFUSED):
		return "is the port right, does the service run, and does the firewall let " + w.way() + " through?"
	case name == "tcp" && slow:
		return "nothing answers: a firewall on the way drops it, or the address is wrong; let " + w.way() + " through"
	case name == "tcp":
		return "there is no way to it: check cable, address and gateway of this machine, for " + w.way()
	case name == "tls":
		return tlsAdvice(err)
	case name == "greeting" && slow:
		return "the connection is taken and then nothing is said: something in between holds it up, or it is no MySQL"
	}
	return ""
}

// way is from which address of ours to which of theirs. Nothing is sent to find out.
func (w *walk) way() string {
	from := "this machine"
	if c, err := net.Dial("udp", w.to); err == nil {
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
			from = a.IP.String()
		}
		c.Close()
	}
	return from + " → " + w.to
}

func tlsAdvice(err error) string {
	_, issuer := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	cert, invalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case issuer:
		return "ca_file isn't the issuer of the server's certificate: name the right one"
	case name:
		return "the certificate is for another name: correct the address, or server_name where there is one"
	case invalid && cert.Reason == x509.Expired:
		return "the certificate isn't valid now: check this machine's clock, then the certificate"
	case plain(err):
		return "what answers doesn't speak TLS: is the port right?"
	case alerted(err):
		return "the server ended the handshake: if it asks for a client certificate, name one that it takes"
	}
	return "check the server's TLS, and what stands in between"
}

package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"station-agent/uplink/fleet/message"
)

// fakeBroker answers like a broker as far as it is asked to.
type fakeBroker struct {
	refuses   bool // no connection
	noRoute   bool // dialing never ends
	mute      bool // nothing is answered, not even the greeting
	noPong    bool
	noAck     bool
	health    func() message.Health
	dropAfter int // packets on a connection; 0 for never
	noSub     bool
	reads     int    // so many packets and then no more; 0 for all
	verdict   byte   // on the greeting
	says      []byte // after the greeting

	dials   []time.Time
	mu      sync.Mutex
	heard   []packets.ControlPacket // on all connections
	times   []time.Time             // of each
	silence chan struct{}           // closed at the end
}

func (b *fakeBroker) dial(ctx context.Context, _ string) (net.Conn, error) {
	b.mu.Lock()
	refuses := b.refuses
	b.dials = append(b.dials, time.Now())
	b.mu.Unlock()
	if refuses {
		return nil, errors.New("refused")
	}
	if b.noRoute {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ours, theirs := net.Pipe()
	go b.serve(theirs)
	return socket{ours}, nil
}

// socket is a pipe that says the same as a TCP connection when it was closed on this side, which paho passes over.
type socket struct{ net.Conn }

func (s socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = net.ErrClosed
	}
	return n, err
}

func (b *fakeBroker) serve(conn net.Conn) {
	defer conn.Close()
	for n := 0; ; {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		b.mu.Lock()
		b.heard, b.times = append(b.heard, p), append(b.times, time.Now())
		a := b.answer(p)
		last, deaf := b.dropAfter > 0 && n == b.dropAfter, len(b.dials)%2 == 0
		b.mu.Unlock()
		if last && deaf {
			return
		}
		if a != nil && a.Write(conn) != nil {
			return
		}
		if last {
			return
		}
		if _, ok := p.(*packets.ConnectPacket); ok && b.interject(conn) != nil {
			return
		}
		if n++; n == b.reads {
			<-b.silence
			return
		}
	}
}

// interject says what is no answer.
func (b *fakeBroker) interject(conn net.Conn) error {
	_, err := conn.Write(b.says)
	return err
}

func (b *fakeBroker) answer(p packets.ControlPacket) packets.ControlPacket {
	switch p := p.(type) {
	case *packets.ConnectPacket:
		if !b.mute {
			welcome := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
			welcome.ReturnCode = b.verdict
			return welcome
		}
	case *packets.PingreqPacket:
		if !b.noPong {
			return packets.NewControlPacket(packets.Pingresp)
		}
	case *packets.SubscribePacket:
		if !b.noSub {
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			ack.MessageID, ack.ReturnCodes = p.MessageID, make([]byte, len(p.Topics))
			return ack
		}
	case *packets.PublishPacket:
		if p.Qos == 1 && !b.noAck {
			ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ack.MessageID = p.MessageID
			return ack
		}
	}
	return nil
}

func (b *fakeBroker) states() (modes []message.Mode) {
	for _, p := range b.heard {
		if p, ok := p.(*packets.PublishPacket); ok && strings.HasSuffix(p.TopicName, "/state") {
			var s message.State
			json.Unmarshal(p.Payload, &s)
			modes = append(modes, s.State)
		}
	}
	return modes
}

// silence is how long a broker may say nothing: a ping goes out after keepAlive, and paho looks four times in keepAlive
// whether one is due and whether it is overdue.
const silence = keepAlive + pongWithin + keepAlive/2

type lostAt struct {
	after time.Duration
	text  string
}

type record struct {
	began time.Time
	lost  []lostAt
	backs int
}

func (r *record) Lost(err error) { r.lost = append(r.lost, lostAt{time.Since(r.began), err.Error()}) }
func (r *record) Back()          { r.backs++ }

// run runs a Publisher against b for d and then stops it; it returns how long the stop took.
func run(t *testing.T, b *fakeBroker, r *record, d time.Duration) (stopped time.Duration) {
	t.Helper()
	b.silence = make(chan struct{})
	defer close(b.silence)
	r.began = time.Now()
	p := New(Config{Access: Access{dialer: b.dial}, Environment: "test", Station: "s"}, func() message.Health { return message.Health{} }, r)
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	p.Run(ctx)
	stopped = time.Since(r.began) - d
	synctest.Wait() // the broker has heard the last word
	if left := goroutinesOfPaho(); len(left) > 0 {
		t.Errorf("left when Run returned:\n%s", strings.Join(left, "\n\n"))
	}
	return stopped
}

// goroutinesOfPaho returns the stacks of those in this test's bubble, without the broker's.
func goroutinesOfPaho() (stacks []string) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "synctest bubble") && strings.Contains(stack, "paho%2emqtt%2egolang.") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

func TestQuietConnectionHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b fakeBroker
		var r record
		stopped := run(t, &b, &r, time.Hour)
		if len(b.dials) != 1 || len(r.lost) != 0 || r.backs != 1 || stopped > 0 {
			t.Errorf("%d dials, lost %v, back %d, stopped after %v", len(b.dials), r.lost, r.backs, stopped)
		}
		if want := []message.Mode{message.Init, message.Ready, message.Disconnected}; !slices.Equal(b.states(), want) {
			t.Errorf("states %v, want %v", b.states(), want)
		}
		if _, ok := b.heard[len(b.heard)-1].(*packets.DisconnectPacket); !ok {
			t.Errorf("the last word was %v", b.heard[len(b.heard)-1])
		}
	})
}

func TestEveryStallEnds(t *testing.T) {
	for name, c := range map[string]struct {
		broker *fakeBroker
		within time.Duration
		text   string
	}{
		"refuses":                {&fakeBroker{refuses: true}, 0, "refused"},
		"refuses the client":     {&fakeBroker{verdict: packets.ErrRefusedIDRejected}, 0, "identifier rejected"},
		"invents a verdict":      {&fakeBroker{verdict: 77}, reasonWithin, "closed"},
		"takes and says nothing": {&fakeBroker{mute: true}, dialWithin, "says nothing"},
		"answers no ping":        {&fakeBroker{noPong: true}, silence, "ping"},
		"acknowledges no state":  {&fakeBroker{noAck: true}, ackWithin, "acknowledgement"},
		"reads nothing any more": {&fakeBroker{reads: 1}, writeWithin, "timeout"},
		"acknowledges no topic":  {&fakeBroker{noSub: true}, ackWithin, "acknowledgement"},
		"reads no ping":          {&fakeBroker{reads: 5}, silence, "ping"}, // between two Healths, that is
		"is behind a dead route": {&fakeBroker{noRoute: true}, dialWithin, "deadline"},
		// a write that was under way when the reading ended is over only at its own limit
		"announces 256 MB":           {&fakeBroker{says: []byte{0x30, 0xff, 0xff, 0xff, 0x7f}}, writeWithin, "16 KiB"},
		"sends what nobody asked":    {&fakeBroker{says: []byte{0x30, 4, 0, 1, 'a', 'b'}, noAck: true}, writeWithin, "nobody asked"},
		"sends a piece of a packet":  {&fakeBroker{says: []byte{0x40, 2, 0}}, ackWithin, ""},
		"sends a packet of no type":  {&fakeBroker{says: []byte{0xf0, 0}}, writeWithin, "unsupported packet type"},
		"acknowledges what is no id": {&fakeBroker{says: []byte{0x90, 4, 0, 9, 1, 1, 0x40, 2, 0, 9}, noAck: true}, ackWithin, "acknowledgement"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r record
				if stopped := run(t, c.broker, &r, time.Minute); stopped > farewellWithin {
					t.Errorf("the stop took %v", stopped)
				}
				if len(r.lost) == 0 || r.lost[0].after > c.within || !strings.Contains(r.lost[0].text, c.text) {
					t.Errorf("lost: %v, want one with %q within %v", r.lost, c.text, c.within)
				}
			})
		})
	}
}

func TestAttemptsBecomeRareAndDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := &fakeBroker{refuses: true}, record{}
		run(t, b, &r, time.Hour)
		if n := len(b.dials); n < 80 || n > 240 {
			t.Errorf("%d attempts in an hour", n)
		}
		gaps := map[time.Duration]bool{}
		for i := 1; i < len(b.dials); i++ {
			gap := b.dials[i].Sub(b.dials[i-1])
			if gap < firstWait/2 || gap > longestWait*3/2 {
				t.Errorf("a gap of %v", gap)
			}
			gaps[gap] = true
		}
		if len(gaps) < len(b.dials)/2 {
			t.Error("the gaps are all the same: a fleet would come back all at once")
		}
	})
}

func TestStopWhileTheBrokerStallsCutsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := &fakeBroker{noAck: true}, record{}
		if stopped := run(t, b, &r, 2*time.Second); stopped > farewellWithin {
			t.Errorf("the stop took %v", stopped)
		}
		for _, p := range b.heard {
			if _, ok := p.(*packets.DisconnectPacket); ok {
				t.Error("DISCONNECT keeps the broker from saying lost, and disconnected never got through")
			}
		}
	})
}

func TestHealthWithoutProblemsHasAnEmptyList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b fakeBroker
		run(t, &b, &record{}, time.Second)
		for _, p := range b.heard {
			if p, ok := p.(*packets.PublishPacket); ok && p.Qos == 0 {
				if !bytes.Contains(p.Payload, []byte(`"problems":[]`)) || p.Retain {
					t.Errorf("%v", p)
				}
				return
			}
		}
		t.Error("no health")
	})
}

// stream is a conn that is only read.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(b []byte) (int, error) { return s.Reader.Read(b) }

func TestGuardPassesPacketsUnder16KiB(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 16<<10 - 3, 16<<10 - 2} {
		var packet bytes.Buffer
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.Payload = make([]byte, size) // and a topic of two bytes
		p.Write(&packet)
		got, err := packets.ReadPacket(newGuard(stream{Reader: &packet}, shortMost))
		if size+2 >= 16<<10 {
			if err == nil {
				t.Errorf("%d bytes got through", size)
			}
		} else if err != nil || len(got.(*packets.PublishPacket).Payload) != size {
			t.Errorf("%d bytes: %v, %v", size, got, err)
		}
	}
}

// TestGuardLeavesOutWhatIsTooLong holds that the packet behind it comes through, and that the broker has its acknowledgement.
func TestGuardLeavesOutWhatIsTooLong(t *testing.T) {
	publish := func(qos byte, id uint16, size int) *packets.PublishPacket {
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.TopicName, p.Qos, p.MessageID, p.Payload = "a/b", qos, id, make([]byte, size)
		return p
	}
	var said, heard bytes.Buffer
	for _, p := range []*packets.PublishPacket{publish(0, 0, shortMost), publish(1, 0x1234, 3*shortMost), publish(1, 7, message.Most), publish(1, 8, 5)} {
		if err := p.Write(&said); err != nil {
			t.Fatal(err)
		}
	}
	g := newGuard(both{stream{Reader: &said}, &heard}, shortMost)
	got, err := packets.ReadPacket(g)
	if err != nil || got.Details().MessageID != 8 || len(got.(*packets.PublishPacket).Payload) != 5 {
		t.Fatalf("%v, %v", got, err)
	}
	if want := []byte{0x40, 2, 0x12, 0x34, 0x40, 2, 0, 7}; !bytes.Equal(heard.Bytes(), want) {
		t.Errorf("acknowledged % x, want % x", heard.Bytes(), want)
	}
	publish(1, 9, 2*message.Most).Write(&said)
	if _, err := packets.ReadPacket(g); err == nil || !strings.Contains(err.Error(), "nobody asked") {
		t.Errorf("twice as long as any message: %v", err)
	}
}

// both is a stream that is written, too.
type both struct {
	stream
	to io.Writer
}

func (b both) Write(p []byte) (int, error)    { return b.to.Write(p) }
func (both) SetWriteDeadline(time.Time) error { return nil }

func FuzzGuard(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x40, 2, 0, 1, 0xd0, 0})
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{0x30, 0x80, 0})
	f.Add([]byte{0x90, 4, 0, 1, 1})
	f.Add(append([]byte{0x32, 0xff, 0xff, 0x01, 0, 1, 'a', 0, 1}, make([]byte, 40_000)...))
	f.Add([]byte{0x32, 0xff, 0xff, 0x01, 0xff, 0xff, 'a', 0, 1})
	f.Fuzz(func(t *testing.T, said []byte) {
		var passed bytes.Buffer
		g := newGuard(both{stream{Reader: bytes.NewReader(said)}, io.Discard}, shortMost)
		for {
			before := passed.Len()
			_, err := packets.ReadPacket(io.TeeReader(g, &passed))
			if n := passed.Len() - before; n > 3+16<<10 {
				t.Fatalf("a packet of %d bytes", n)
			}
			if err != nil {
				break
			}
		}
		if g.skipped == 0 && !bytes.HasPrefix(said, passed.Bytes()) {
			t.Fatal("the guard changes what the broker says")
		}
	})
}

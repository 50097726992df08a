package stationtest

import (
	"encoding/binary"
	"sync"
	"time"
)

// Module is a reader of tags that must be asked, stricter than a real one: it loses a command that comes while another one runs, refuses
// a wrong checksum, region or power, and forgets all when it is switched off. Its frames are made here, not by the codecs that they
// test. Its methods may be called from several goroutines.
type Module struct {
	mu       sync.Mutex
	protocol string
	tag      []byte // EPC that lies on it; nil: none
	rssi     byte
	busy     time.Time // until then commands are lost
	answer   []byte    // comes then
	streams  bool

	Takes  []byte // commands, in their order
	Lost   int    // commands that came while another one ran, or damaged
	Power  int    // as it is sent; -1 since it was switched on
	Region int    // first byte of it; -1 since it was switched on
	Dead   bool   // answers nothing
	Blind  bool   // answers, but nothing while it reads
	Broken bool   // every inventory fails
	Most   int    // power that it takes
	Reach  int    // power at least at which it sees a tag
}

// NewModule switches a module on that speaks protocol: r200, uhfreader18, uhfreader288 or r2000.
func NewModule(protocol string) *Module {
	return &Module{protocol: protocol, Power: -1, Region: -1, Most: 3000, Reach: -1}
}

// Lay lays a tag of 12 bytes on it, seen so strong by the protocol's byte; nil takes it away.
func (m *Module) Lay(epc []byte, rssi byte) { m.Set(func(m *Module) { m.tag, m.rssi = epc, rssi }) }

// Set changes or looks at m.
func (m *Module) Set(f func(*Module)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

// Reset is what switching off and on does.
func (m *Module) Reset() {
	m.Set(func(m *Module) { m.Power, m.Region, m.streams, m.busy, m.answer = -1, -1, false, time.Time{}, nil })
}

// Streams tells whether its antenna is on without being asked.
func (m *Module) Streams() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.streams
}

// Tell gives it one command, whole.
func (m *Module) Tell(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	command, data, ok := m.parse(p)
	if !ok || m.Dead || time.Now().Before(m.busy) || m.answer != nil || m.streams && m.meaning(command) != "stop" {
		m.Lost++
		return
	}
	m.Takes = append(m.Takes, command)
	m.answer, m.busy = m.carryOut(command, data)
}

// Says gives what it sends by now: an answer, or a round of a stream.
func (m *Module) Says() (p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answer != nil && !time.Now().Before(m.busy) {
		p, m.answer = m.answer, nil
		m.busy = time.Now().Add(15 * time.Millisecond) // bytes that are nearer belong to the frame before
	}
	if m.streams && !m.Dead && !m.Blind {
		p = append(p, m.round()...)
	}
	return p
}

// parse takes a command apart.
func (m *Module) parse(p []byte) (command byte, data []byte, ok bool) {
	n := len(p)
	switch m.protocol {
	case "r200":
		ok = n >= 7 && p[0] == 0xbb && p[1] == 0 && int(p[4]) == n-7 && add(p[1:n-2]) == p[n-2] && p[n-1] == 0x7e
		if ok {
			return p[2], p[5 : n-2], true
		}
	case "r2000":
		ok = n >= 5 && p[0] == 0xa0 && int(p[1]) == n-2 && add(p) == 0
		if ok {
			return p[3], p[4 : n-1], true
		}
	default:
		ok = n >= 5 && int(p[0]) == n-1 && binary.LittleEndian.Uint16(p[n-2:]) == reflected(p[:n-2])
		if ok {
			return p[2], p[3 : n-2], true
		}
	}
	return 0, nil, false
}

// carryOut does what a command wants and gives the answer, and until when nothing else is heard.
func (m *Module) carryOut(command byte, data []byte) ([]byte, time.Time) {
	soon := time.Now().Add(10 * time.Millisecond)
	set := func(to *int, v int, ok bool) ([]byte, time.Time) {
		if !ok {
			return m.refused(command), soon
		}
		*to = v
		return m.done(command), soon
	}
	switch m.meaning(command) {
	case "version":
		return m.version(command), soon
	case "region":
		return set(&m.Region, int(data[0]), data[0] != 0)
	case "power":
		n := 0
		for _, b := range data {
			n = n<<8 | int(b)
		}
		return set(&m.Power, n, n <= m.Most)
	case "stop":
		m.streams = false
		return m.done(command), soon
	case "start":
		m.streams = true
		return nil, time.Time{}
	case "poll":
		if m.Blind {
			return nil, soon
		}
		return m.round(), time.Now().Add(160 * time.Millisecond)
	}
	return m.refused(command), soon
}

// meaning tells what a command is for; "" if it isn't known.
func (m *Module) meaning(command byte) string {
	return map[string]map[byte]string{
		"r200":         {0x03: "version", 0x07: "region", 0xb6: "power", 0x28: "stop", 0x27: "start"},
		"uhfreader18":  {0x21: "version", 0x22: "region", 0x2f: "power", 0x01: "poll"},
		"uhfreader288": {0x21: "version", 0x22: "region", 0x2f: "power", 0x01: "poll", 0x76: "stop"},
		"r2000":        {0x72: "version", 0x78: "region", 0x76: "power", 0x89: "poll"},
	}[m.protocol][command]
}

func (m *Module) version(command byte) []byte {
	switch m.protocol {
	case "r200":
		return m.frame(command, 0, 'V', '1', '.', '2')
	case "r2000":
		return m.frame(command, 1, 2)
	}
	return m.frame(command, 0, 1, 2)
}

func (m *Module) done(command byte) []byte {
	if m.protocol == "r2000" {
		return m.frame(command, 0x10)
	}
	return m.frame(command, 0)
}

func (m *Module) refused(command byte) []byte {
	if m.protocol == "r200" {
		return m.frame(0xff, 0x17)
	}
	return m.frame(command, 0x48)
}

// round is what one look at the antenna gives.
func (m *Module) round() []byte {
	t := m.tag
	if m.Power < m.Reach {
		t = nil
	}
	switch {
	case m.Broken && m.protocol == "r200":
		return m.frame(0xff, 0x20)
	case m.Broken && m.protocol == "r2000":
		return m.frame(0x89, 0x22)
	case m.Broken:
		return m.frame(0x01, 0xf8)
	case m.protocol == "r200" && t == nil:
		return m.frame(0xff, 0x15)
	case m.protocol == "r200":
		id := append([]byte{0x30, 0}, t...)
		p := m.frame(0x22, binary.BigEndian.AppendUint16(append([]byte{m.rssi}, id...), ^straight(id))...)
		p[1] = 2 // a notice
		p[len(p)-2]++
		return p
	case m.protocol == "r2000":
		end := m.frame(0x89, 0, 0, 50, 0, 0, 0, 1)
		if t == nil {
			return end
		}
		return append(m.frame(0x89, append(append([]byte{0, 0x30, 0}, t...), m.rssi)...), end...)
	case t == nil:
		return m.frame(0x01, 0xfb)
	case m.protocol == "uhfreader288":
		return m.frame(0x01, append(append([]byte{1, 1, 1, byte(len(t))}, t...), m.rssi)...)
	default:
		return m.frame(0x01, append([]byte{1, 1, byte(len(t))}, t...)...)
	}
}

// frame makes an answer.
func (m *Module) frame(command byte, data ...byte) []byte {
	switch m.protocol {
	case "r200":
		f := append([]byte{0xbb, 1, command, 0, byte(len(data))}, data...)
		return append(f, add(f[1:]), 0x7e)
	case "r2000":
		f := append([]byte{0xa0, byte(3 + len(data)), 1, command}, data...)
		return append(f, -add(f))
	}
	f := append([]byte{byte(4 + len(data)), 0, command}, data...)
	return binary.LittleEndian.AppendUint16(f, reflected(f))
}

func add(p []byte) (n byte) {
	for _, b := range p {
		n += b
	}
	return n
}

// reflected is CRC-16/MCRF4XX, bit by bit.
func reflected(p []byte) uint16 {
	crc := uint16(0xffff)
	for _, b := range p {
		crc ^= uint16(b)
		for range 8 {
			crc = crc>>1 ^ crc&1*0x8408
		}
	}
	return crc
}

// straight is CRC-16/CCITT-FALSE, bit by bit.
func straight(p []byte) uint16 {
	crc := uint16(0xffff)
	for _, b := range p {
		crc ^= uint16(b) << 8
		for range 8 {
			crc = crc<<1 ^ crc>>15*0x1021
		}
	}
	return crc
}

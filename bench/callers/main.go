// Many callers in one process, as cheap as they can be: each has a room, an open microphone, and an ear. Nothing is
// encoded or decoded here: what they say is Opus that was made beforehand, and what they hear is written as it came.
//
// Orders come on stdin, a JSON object a line; each is answered by a line on stdout once it is done.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const packetLength = 20 * time.Millisecond

// RFC 6716, 3.1: one packet of 20 ms, CELT, fullband, mono, in which there is nothing.
var silence = []byte{0xf8, 0xff, 0xfe}

type order struct {
	Join, URL, Token string // a room
	Say              string // a file of packets, each behind its length
	Record           bool   // begin new recordings
	Save             string // a folder
}

type caller struct {
	room  string
	left  func()
	say   atomic.Pointer[[][]byte]
	lock  sync.Mutex
	heard []byte
}

// talk sends what is to be said, and silence meanwhile, without end.
func (c *caller) talk(track *lksdk.LocalTrack) {
	next := time.Now()
	for {
		packet := silence
		if left := c.say.Load(); left != nil && len(*left) > 0 {
			packet = (*left)[0]
			rest := (*left)[1:]
			c.say.CompareAndSwap(left, &rest)
		}
		if track.WriteSample(media.Sample{Data: packet, Duration: packetLength}, nil) != nil {
			return
		}
		next = next.Add(packetLength)
		time.Sleep(time.Until(next))
	}
}

// listen keeps each packet: seconds at which it came (float64), its track (SSRC) and RTP time (uint32), its length
// (uint16), itself.
func (c *caller) listen(track *webrtc.TrackRemote) {
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if len(packet.Payload) == 0 {
			continue
		}
		at := float64(time.Now().UnixNano()) / 1e9
		c.lock.Lock()
		c.heard = binary.LittleEndian.AppendUint64(c.heard, math.Float64bits(at))
		c.heard = binary.LittleEndian.AppendUint32(c.heard, packet.SSRC)
		c.heard = binary.LittleEndian.AppendUint32(c.heard, packet.Timestamp)
		c.heard = binary.LittleEndian.AppendUint16(c.heard, uint16(len(packet.Payload)))
		c.heard = append(c.heard, packet.Payload...)
		c.lock.Unlock()
	}
}

func (c *caller) join(url, token string) error {
	callback := lksdk.NewRoomCallback()
	callback.OnTrackSubscribed = func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			go c.listen(track)
		}
	}
	room, err := lksdk.ConnectToRoomWithToken(url, token, callback)
	if err != nil {
		return err
	}
	c.left = room.Disconnect
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		return err
	}
	options := &lksdk.TrackPublicationOptions{Name: "microphone"}
	track.OnBind(func() { go c.talk(track) })
	_, err = room.LocalParticipant.PublishTrack(track, options)
	return err
}

func (c *caller) record() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.heard = nil
}

func (c *caller) save(folder string) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	return os.WriteFile(filepath.Join(folder, c.room+".packets"), c.heard, 0o600)
}

// packets reads a file of packets, each behind its length (uint16, little endian).
func packets(path string) ([][]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found [][]byte
	for len(data) >= 2 {
		length := int(binary.LittleEndian.Uint16(data))
		if len(data) < 2+length {
			return nil, io.ErrUnexpectedEOF
		}
		found = append(found, data[2:2+length])
		data = data[2+length:]
	}
	return found, nil
}

func obey(one order, callers []*caller) ([]*caller, error) {
	switch {
	case one.Join != "":
		joined := &caller{room: one.Join}
		if err := joined.join(one.URL, one.Token); err != nil {
			fmt.Fprintln(os.Stderr, one.Join, err) // nothing is recorded of it: a call that was delivered to nobody
			return callers, nil
		}
		return append(callers, joined), nil
	case one.Record:
		for _, each := range callers {
			each.record()
		}
	case one.Say != "":
		said, err := packets(one.Say)
		if err != nil {
			return callers, err
		}
		for _, each := range callers {
			own := said
			each.say.Store(&own)
		}
	case one.Save != "":
		for _, each := range callers {
			if err := each.save(one.Save); err != nil {
				return callers, err
			}
		}
	}
	return callers, nil
}

func main() {
	lksdk.SetLogger(logger.GetDiscardLogger())
	var callers []*caller
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		var one order
		err := json.Unmarshal(orders.Bytes(), &one)
		if err == nil {
			callers, err = obey(one, callers)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("done")
	}
	for _, each := range callers {
		each.left()
	}
}

// A Helia node for one command. Each prints one line of JSON when it is done, or when it is ready.
//
//   serve PATH [KEY]       adds a file or directory and serves it by bitswap until it is ended; KEY is the type of its
//                          key: Ed25519, RSA, secp256k1
//   fetch ADDRESS CID OUT  fetches a file or directory by bitswap from one peer
//   gateway URL CID OUT    fetches it from a trustless HTTP gateway
//   block ADDRESS CID OUT  fetches one block by bitswap
//   flood ADDRESS CID…     wants these blocks, and others that nobody has, without end and without reading any
//   dht                    is a member of a DHT of IPFS of which it is the first, until it is ended
//   dht ADDRESS PATH       the same beside that of another; announces a file there and serves it
//   providers ADDRESS CID  asks the DHT of a member who has a CID
//
// Nothing but the named peer or gateway is ever contacted: no bootstrap peers, no DHT, no public gateways.
import './node20.mjs'
import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { withBitswap } from '@helia/bitswap'
import { withHTTP } from '@helia/http'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import * as dagCbor from '@ipld/dag-cbor'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'

const TIMEOUT_MS = 100_000
// Entries of a directory that are fetched at a time.
const TOGETHER = 64

const BITSWAP = '/ipfs/bitswap/1.2.0'

/** A length, as protobuf writes it. */
function varint (number) {
  return number < 128 ? [number] : [number % 128 + 128, ...varint(Math.floor(number / 128))]
}

const say = (value) => console.log(JSON.stringify(value))
const light = () => createHeliaLight({ codecs: [dagCbor] })

// Peers of the loopback interface are as good as any here.
const dht = (clientMode) => kadDHT({
  protocol: '/ipfs/kad/1.0.0',
  clientMode,
  peerInfoMapper: passthroughMapper,
  allowQueryWithZeroPeers: true
})

async function peer (listen = [], services = {}, key = 'Ed25519') {
  const helia = withBitswap(withLibp2pLight(light(), {
    privateKey: await generateKeyPair(key),
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping(), ...services }
  }))
  await helia.start()
  return helia
}

/** Connects to a member of a DHT, and waits until it is known as one. */
async function meet (helia, address) {
  await helia.libp2p.dial(multiaddr(address))
  while (helia.libp2p.services.dht.routingTable.size === 0) {
    await setTimeout(50)
  }
}

/** The files below a directory, as an importer wants them. */
async function * filesBelow (directory, path) {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const below = join(directory, entry.name)
    const named = `${path}/${entry.name}`
    if (entry.isDirectory()) {
      yield { path: named }
      yield * filesBelow(below, named)
    } else {
      yield { path: named, content: [await readFile(below)] }
    }
  }
}

async function add (helia, path) {
  const files = unixfs(helia)
  if ((await stat(path)).isFile()) {
    return files.addByteStream(createReadStream(path))
  }
  let root
  for await (const added of files.addAll(filesBelow(path, 'root'))) {
    root = added.cid
  }
  return root
}

/** Writes what a CID names to disk; gives the bytes of its files. */
async function leave (helia, cid, out) {
  const files = unixfs(helia)
  const options = { signal: AbortSignal.timeout(TIMEOUT_MS) }
  const stats = await files.stat(cid, options)
  if (stats.type === 'directory') {
    await mkdir(out)
    let bytes = 0
    let some = []
    const settle = async () => {
      for (const done of await Promise.all(some)) {
        bytes += done
      }
      some = []
    }
    for await (const entry of files.ls(cid, options)) {
      some.push(leave(helia, entry.cid, join(out, entry.name)))
      if (some.length >= TOGETHER) {
        await settle()
      }
    }
    await settle()
    return bytes
  }
  const to = createWriteStream(out)
  let bytes = 0
  for await (const piece of files.cat(cid, options)) {
    bytes += piece.byteLength
    if (!to.write(piece)) {
      await once(to, 'drain')
    }
  }
  to.end()
  await once(to, 'finish')
  return bytes
}

const commands = {
  async serve (path, key) {
    const helia = await peer(['/ip4/127.0.0.1/tcp/0'], {}, key)
    const cid = await add(helia, path)
    const [address] = helia.libp2p.getMultiaddrs()
    say({ cid: cid.toString(), address: address.toString() })
    // Until the process is ended.
    await new Promise(() => setInterval(() => {}, 1 << 30))
  },

  async fetch (address, cid, out) {
    const helia = await peer()
    await helia.libp2p.dial(multiaddr(address))
    const begin = performance.now()
    const bytes = await leave(helia, CID.parse(cid), out)
    say({ bytes, seconds: (performance.now() - begin) / 1000 })
  },

  async gateway (url, cid, out) {
    const helia = withHTTP(light(), {
      allowInsecure: true,
      allowLocal: true,
      delegatedRouters: [],
      recursiveGateways: []
    })
    const { hostname, port } = new URL(url)
    // Named as the one provider of everything.
    helia.addRouter({
      name: 'one-gateway',
      async * findProviders () {
        const multiaddrs = [multiaddr(`/ip4/${hostname}/tcp/${port}/http`)]
        const id = CID.createV1(0x0920, identity.digest(new TextEncoder().encode(url)))
        yield { id, multiaddrs, protocols: ['transport-ipfs-gateway-http'], routing: 'one-gateway' }
      }
    })
    await helia.start()
    say({ bytes: await leave(helia, CID.parse(cid), out) })
  },

  async flood (address, ...cids) {
    const helia = await peer()
    const { libp2p } = helia
    // What is sent is never read, so that it piles up wherever it may.
    await libp2p.unhandle(BITSWAP)
    await libp2p.handle(BITSWAP, (stream) => stream.pause())
    await libp2p.dial(multiaddr(address))
    say({ cid: '', address: '' })
    const real = cids.map((cid) => CID.parse(cid).bytes)
    const length = (bytes) => [...varint(bytes.length), ...bytes]
    const entry = (cid, number) => length([
      0x0a, ...length(cid), 0x10, 0x01, 0x20, number % 2, 0x28, 0x01
    ])
    for (let round = 0; ; round++) {
      const stream = await libp2p.dialProtocol(multiaddr(address), BITSWAP)
      try {
        for (let message = 0; message < 100; message++) {
          const none = Array.from({ length: 500 }, () => [0x01, 0x55, 0x12, 0x20, ...randomBytes(32)])
          const entries = [...real, ...none].flatMap((cid, number) => [0x0a, ...entry(cid, number)])
          const wanted = length([0x0a, ...length(entries)])
          if (!stream.send(Uint8Array.from(wanted))) {
            await stream.onDrain({ signal: AbortSignal.timeout(1000) })
          }
        }
        // Nothing of this is a message.
        stream.send(randomBytes(10_000))
      } catch {
        // A node may well have enough of this, and the next stream shows whether it does.
      }
      // Ended in order, or in the middle of what is under way.
      if (round % 2 === 0) {
        await stream.close({ signal: AbortSignal.timeout(1000) }).catch(() => {})
      }
      stream.abort(new Error('enough of this one'))
    }
  },

  async dht (address, path) {
    const helia = await peer(['/ip4/127.0.0.1/tcp/0'], { dht: dht(false) })
    const [own] = helia.libp2p.getMultiaddrs()
    let cid = ''
    if (address != null) {
      await meet(helia, address)
      cid = await add(helia, path)
      await helia.libp2p.contentRouting.provide(cid, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    }
    say({ cid: cid.toString(), address: own.toString() })
    // Until the process is ended.
    await new Promise(() => setInterval(() => {}, 1 << 30))
  },

  async providers (address, cid) {
    const helia = await peer([], { dht: dht(true) })
    await meet(helia, address)
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const found = []
    for await (const provider of helia.libp2p.contentRouting.findProviders(CID.parse(cid), { signal })) {
      const addresses = provider.multiaddrs.map((address) => address.toString())
      found.push({ id: provider.id.toString(), addresses })
      break
    }
    say({ found })
  },

  async block (address, text, out) {
    const helia = await peer()
    await helia.libp2p.dial(multiaddr(address))
    const cid = CID.parse(text)
    const options = { signal: AbortSignal.timeout(TIMEOUT_MS) }
    const pieces = []
    for await (const piece of helia.blockstore.get(cid, options)) {
      pieces.push(piece)
    }
    await writeFile(out, Buffer.concat(pieces))
    say({ bytes: pieces.reduce((sum, piece) => sum + piece.byteLength, 0) })
  }
}

const [name, ...rest] = process.argv.slice(2)
try {
  await commands[name](...rest)
  process.exit(0)
} catch (error) {
  console.error(error)
  process.exit(1)
}

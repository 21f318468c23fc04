// SPDX-License-Identifier: MIT
// What a browser has and Node 20 lacks, for the official client's browser build: a WebSocket (the
// `ws` package) and as much of XMLHttpRequest and FileReader as long polling takes. Where the
// client is installed from npm its own Node build needs none of them.
import { createRequire } from 'node:module'
import http from 'node:http'
import https from 'node:https'

const require = createRequire(import.meta.url)
const root = new URL('../../services/frontend/node_modules/', import.meta.url).pathname

class Request {
  readyState = 0
  status = 0
  responseText = ''
  onreadystatechange = () => {}
  #headers = {}

  open(method, url) {
    this.method = method
    this.url = url
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value
  }

  getResponseHeader(name) {
    return this.response?.headers[name.toLowerCase()] ?? null
  }

  setDisableHeaderCheck() {}

  send(body) {
    const isSecure = this.url.startsWith('https:')
    const agent = isSecure ? Request.secureAgent : Request.agent
    const options = { method: this.method, headers: this.#headers, agent }
    if (body) options.headers['content-length'] = Buffer.byteLength(body)
    this.request = (isSecure ? https : http).request(this.url, options, (response) => {
      this.response = response
      response.setEncoding('utf8')
      response.on('data', (text) => (this.responseText += text))
      response.on('end', () => this.#done(response.statusCode))
      response.on('error', () => this.#done(0))
    })
    this.request.on('error', () => this.#done(0))
    this.request.end(body ?? undefined)
  }

  abort() {
    this.request?.destroy()
  }

  #done(status) {
    if (this.readyState === 4) return
    this.readyState = 4
    this.status = status
    this.onreadystatechange()
  }
}
Request.agent = new http.Agent({ keepAlive: true })
Request.secureAgent = new https.Agent({ keepAlive: true })

/** As much of it as base64 of a message takes. */
class Reader {
  async readAsDataURL(blob) {
    this.result = `data:;base64,${Buffer.from(await blob.arrayBuffer()).toString('base64')}`
    this.onload?.()
  }
}

export function loadClient() {
  const isBrowserBuild = require(`${root}socket.io-client/package.json`).main?.includes('min.js')
  if (isBrowserBuild) {
    // Before the client is loaded: it looks for these once.
    globalThis.WebSocket ??= require('/usr/share/nodejs/ws')
    globalThis.XMLHttpRequest ??= Request
    globalThis.FileReader ??= Reader
  }
  return require(`${root}socket.io-client`)
}

// Exports every diagram that docs/pictures/pictures.txt lists as SVG, in one run of Chromium without a window. Each SVG begins
// with the hash of its source, by which a test finds a stale one.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const pictures = join(root, 'docs/pictures')

// source returns the n-th diagram of a page, or the whole of a file that is a diagram.
function source(file, n) {
  const text = readFileSync(join(root, file), 'utf8')
  if (file.endsWith('.mmd')) return text.trim()
  const blocks = [...text.matchAll(/```mermaid\n([\s\S]*?)```/g)]
  if (blocks.length < n) throw new Error(`${file} has no diagram ${n}`)
  return blocks[n - 1][1].trim()
}

const list = readFileSync(join(pictures, 'pictures.txt'), 'utf8').trim().split('\n').map(line => {
  const [name, file, n] = line.split(/\s+/)
  return { name, text: source(file, Number(n ?? 1)) }
})

const page = `<!doctype html><meta charset="utf-8"><body><script src="file://${here}/node_modules/mermaid/dist/mermaid.min.js"></script>
<script>
const list = ${JSON.stringify(list).replaceAll('<', '\\u003c')}
mermaid.initialize({ startOnLoad: false, deterministicIds: true, handDrawnSeed: 1,
  fontFamily: 'sans-serif', htmlLabels: false, flowchart: { htmlLabels: false },
  themeVariables: { xyChart: { plotColorPalette: '#3b6ea8' } } })
;(async () => {
  const out = {}
  for (const p of list) {
    try { out[p.name] = (await mermaid.render('d-' + p.name.replace(/\\W/g, '-'), p.text)).svg } catch (e) { out[p.name] = 'ERROR ' + e.message }
  }
  document.body.textContent = 'RESULT' + btoa(unescape(encodeURIComponent(JSON.stringify(out)))) + 'END'
})()
</script>`

const dir = mkdtempSync(join(tmpdir(), 'pictures-'))
try {
  writeFileSync(join(dir, 'page.html'), page)
  const dom = execFileSync('chromium', ['--headless', '--no-sandbox', '--allow-file-access-from-files', `--user-data-dir=${dir}/profile`,
    '--virtual-time-budget=60000', '--dump-dom', `file://${dir}/page.html`], { encoding: 'utf8', maxBuffer: 1 << 28, timeout: 300000, stdio: ['ignore', 'pipe', 'ignore'] })
  const result = dom.match(/RESULT([A-Za-z0-9+/=]+)END/)
  if (!result) throw new Error('Chromium rendered nothing')
  const svgs = JSON.parse(Buffer.from(result[1], 'base64').toString('utf8'))
  for (const { name, text } of list) {
    if (svgs[name].startsWith('ERROR')) throw new Error(`${name}: ${svgs[name]}`)
    const hash = createHash('sha256').update(text).digest('hex')
    writeFileSync(join(pictures, name), `<!-- source ${hash} -->\n${svgs[name]}\n`)
    console.log(name)
  }
} finally {
  rmSync(dir, { recursive: true, force: true })
}

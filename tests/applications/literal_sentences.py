"""A hundred sentences of our own with what a translation must keep, as English | literals, and Portuguese."""

ENGLISH = """
Visit https://example.org/start?lang=en for more details. | https://example.org/start?lang=en
Send it to maria.silva@example.com before Friday. | maria.silva@example.com
The ticket costs €5 and the coffee £4. | 5 € | 4 £
Dinner was €1,234.50 for all of us. | 1.234,50 €
Hello {name}, your order {order_id} has been shipped. | {name} | {order_id}
Type `git commit -m "done"` and press Enter. | `git commit -m "done"`
I love this song 🎵 so much! | 🎵
We won the match 🎉🎉 | 🎉🎉
Open the file ~/.config/app/settings.json first. | ~/.config/app/settings.json
Click <b>Save</b> to keep your changes. | <b> | </b>
The function parse_date() returns nothing. | parse_date()
Set MAX_SIZE to 300 and restart. | MAX_SIZE | 300
Section § 12 of the law was changed in 2019. | § 12 | 2019
The room measures 3 × 4 metres. | 3 × 4
Add 2½ cups of flour. | 2½
It was 25 °C in the shade. | 25 °C
Follow @parlance for news about #translation. | @parlance | #translation
Version 2.10.3 fixes the problem. | 2.10.3
Mr Müller lives near the Straße in question. | Müller | Straße
She ate a jalapeño by mistake. | jalapeño
Use --force only if you know what you are doing. | --force
The path C:\\Users\\Ana\\notes.txt does not exist. | C:\\Users\\Ana\\notes.txt
Prices rose by 4.5 % in 2023. | 2023
Call +351 912 345 678 after six. | 912 345 678
The server answers at 192.168.0.1 on port 8080. | 192.168.0.1 | 8080
Replace %s with the name of the user. | %s
The variable ${HOME} is not set. | ${HOME}
Thank you ❤️ and see you soon! | ❤️
The museum is open from 9:00 to 17:30. | 9:00 | 17:30
Read chapters 3, 7 and 12 for tomorrow. | 3 | 7 | 12
The film lasts 142 minutes. | 142
The report.pdf file is too large. | report.pdf
Go to www.example.com/help and ask there. | www.example.com/help
About ≈ 300 people came to the party. | 300
He wrote x^2 on the blackboard. | x^2
The code is A-1234/B. | 1234
Our train leaves at 14:05 from platform 9. | 14:05 | 9
She was born on 12 May 1987. | 12 | 1987
Write to info@example.org or support@example.org. | info@example.org | support@example.org
The key {{ user.email }} is replaced later. | {{ user.email }}
In 1914–1918 the factory was closed. | 1914–1918
The house was sold for £250,000 last year. | 250.000 £
I paid 20 € for two books. | 20 €
Use <br/> to begin a new line. | <br/>
The result is ~50 in most cases. | ~50
Press Ctrl+C to stop the program. | Ctrl+C
The author of snake_case_names left the team. | snake_case_names
Is 1,000,000 really a large number? | 1
My flight is TP1234 on Monday. | TP1234
The good news 😀 came on Monday, the bad news 😢 on Tuesday. | 😀 | 😢
""".strip()

PORTUGUESE = """
Visite https://exemplo.pt/inicio?lang=pt para mais detalhes. | https://exemplo.pt/inicio?lang=pt
Envie para maria.silva@exemplo.pt até sexta-feira. | maria.silva@exemplo.pt
O bilhete custa 5 € e o café 4 £. | €5 | £4
O jantar custou 1.234,50 € para todos. | €1,234.50
Olá {nome}, a sua encomenda {order_id} foi enviada. | {nome} | {order_id}
Escreva `git commit -m "feito"` e carregue em Enter. | `git commit -m "feito"`
Adoro esta música 🎵 de verdade! | 🎵
Ganhámos o jogo 🎉🎉 | 🎉🎉
Abra primeiro o ficheiro ~/.config/app/settings.json. | ~/.config/app/settings.json
Clique em <b>Guardar</b> para manter as alterações. | <b> | </b>
A função parse_date() não devolve nada. | parse_date()
Defina MAX_SIZE como 300 e reinicie. | MAX_SIZE | 300
O § 12 da lei foi alterado em 2019. | § 12 | 2019
A sala mede 3 × 4 metros. | 3 × 4
Junte 2½ chávenas de farinha. | 2½
Estavam 25 °C à sombra. | 25 °C
Siga @parlance para notícias sobre #tradução. | @parlance | #tradução
A versão 2.10.3 resolve o problema. | 2.10.3
O senhor Müller mora perto daquela Straße. | Müller | Straße
Ela comeu um jalapeño por engano. | jalapeño
Use --force apenas se souber o que está a fazer. | --force
O caminho C:\\Users\\Ana\\notas.txt não existe. | C:\\Users\\Ana\\notas.txt
Os preços subiram 4,5 % em 2023. | 2023
Ligue para +351 912 345 678 depois das seis. | 912 345 678
O servidor responde em 192.168.0.1 na porta 8080. | 192.168.0.1 | 8080
Substitua %s pelo nome do utilizador. | %s
A variável ${HOME} não está definida. | ${HOME}
Obrigado ❤️ e até breve! | ❤️
O museu está aberto das 9:00 às 17:30. | 9:00
Leia os capítulos 3, 7 e 12 para amanhã. | 3 | 7 | 12
O filme dura 142 minutos. | 142
O ficheiro relatorio.pdf é demasiado grande. | relatorio.pdf
Vá a www.exemplo.pt/ajuda e pergunte lá. | www.exemplo.pt/ajuda
Vieram ≈ 300 pessoas à festa. | 300
Ele escreveu x^2 no quadro. | x^2
O código é A-1234/B. | 1234
O nosso comboio parte às 14:05 da linha 9. | 14:05 | 9
Ela nasceu em 12 de maio de 1987. | 12 | 1987
Escreva para info@exemplo.pt ou apoio@exemplo.pt. | info@exemplo.pt | apoio@exemplo.pt
A chave {{ user.email }} é substituída depois. | {{ user.email }}
Em 1914–1918 a fábrica esteve fechada. | 1914–1918
A casa foi vendida por 250.000 £ no ano passado. | £250,000
Paguei 20 € por dois livros. | €20
Use <br/> para começar uma nova linha. | <br/>
O resultado é ~50 na maioria dos casos. | ~50
Carregue em Ctrl+C para parar o programa. | Ctrl+C
O autor de snake_case_names deixou a equipa. | snake_case_names
Será 1.000.000 mesmo um número grande? | 1
O meu voo é o TP1234 na segunda-feira. | TP1234
A boa notícia 😀 veio na segunda, a má 😢 na terça. | 😀 | 😢
""".strip()


def rows(text: str) -> list[tuple[str, list[str]]]:
    """Each sentence with its literals as the target writes them."""
    lines = (line.split("|") for line in text.split("\n"))
    return [(sentence.strip(), [literal.strip() for literal in literals]) for sentence, *literals in lines]
